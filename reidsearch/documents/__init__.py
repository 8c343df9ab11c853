"""Results as JSON documents, a module for each kind: keys are named here and nowhere else. Command
line, HTTP and notebooks share them.

Keys are a promise: they may be added, never renamed. Scores and rates are fractions, times are
seconds since 1970 UTC where nothing else is said, None is "not known".
"""
