"""What people look at: contact sheets, an evaluation's page, a trace's lanes."""
