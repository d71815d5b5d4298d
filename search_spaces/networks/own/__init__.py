"""Networks of our own, one file each: `build() -> torch.nn.Module` and, if not 1x3x224x224, `INPUT` as a literal."""
