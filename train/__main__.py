"""``python -m train``: the command, or what to install for it."""

from importlib.util import find_spec

# Some are used only when all is trained and the encoder is written: too late to be missed.
NEEDED = {
    "torch": "torch", "torchvision": "torchvision", "onnx": "onnx", "onnxscript": "onnxscript",
    "safetensors": "safetensors", "scipy": "scipy", "sklearn": "scikit-learn",
}  # fmt: skip

if __name__ == "__main__":
    missing = [package for name, package in NEEDED.items() if find_spec(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise SystemExit(
            f"Error: training needs {', '.join(missing)}, which {are} not installed\n"
            'Try: pip install -e ".[train]"'
        )
    from train.command import run_app

    run_app()
