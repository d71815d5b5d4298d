"""Networks of our own, one file each: `build() -> torch.nn.Module` and, if it is not 1x3x224x224, `INPUT`."""
