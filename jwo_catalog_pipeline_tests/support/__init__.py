"""What tests share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXPORTS = Path(__file__).parent / "exports"
