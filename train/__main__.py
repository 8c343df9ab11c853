"""``python -m train``: the command, or what to install for it."""

NEEDED = {"torch", "torchvision", "onnx", "onnxscript", "safetensors"}

if __name__ == "__main__":
    try:
        from train.command import run_app
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise SystemExit(
            f"Error: training needs {error.name}, which is not installed\n"
            'Try: pip install -e ".[train]"'
        ) from None
    run_app()
