"""``python -m train``: the command, or what to install for it."""

NEEDED = {
    "torch": "torch", "torchvision": "torchvision", "onnx": "onnx", "onnxscript": "onnxscript",
    "safetensors": "safetensors", "sklearn": "scikit-learn", "scipy": "scikit-learn",
}  # fmt: skip

if __name__ == "__main__":
    try:
        from train.command import run_app
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise SystemExit(
            f"Error: training needs {NEEDED[error.name]}, which is not installed\n"
            'Try: pip install -e ".[train]"'
        ) from None
    run_app()
