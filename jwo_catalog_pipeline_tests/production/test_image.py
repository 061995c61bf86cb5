"""The image's Python, made as deploy/Dockerfile makes it: locked, without what only tests need, and it starts."""

import shutil
import subprocess
import sys
from pathlib import Path

from jwo_catalog_pipeline_tests.support import DEPLOY, ROOT
from jwo_catalog_pipeline_tests.support.templates import dockerfile


def test_what_the_image_installs_is_enough_to_load_the_code_location(tmp_path: Path) -> None:
    build, venv = tmp_path / "build", tmp_path / "venv"
    for copied in dockerfile("COPY"):
        *sources, target = copied.split()
        if target.startswith("/build"):
            for source in sources:
                place = build / source
                place.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, place)
    made = [line for line in dockerfile("RUN") if "venv" in line and "useradd" not in line]
    assert len(made) == 3  # the environment, what is locked, the project
    for line in made:
        there = line.replace("/opt/venv", str(venv)).replace("/build", str(build)).replace("${EXTRA}", "")
        there = f"{sys.executable}{there.removeprefix('python')}" if there.startswith("python ") else there
        subprocess.run(["bash", "-euc", there], check=True, cwd=tmp_path, capture_output=True)
    python = str(venv / "bin" / "python")
    (tmp_path / "home").mkdir()
    settings = {
        "JWO_MAPPING": str(ROOT / "jwo_catalog_pipeline" / "demo" / "sample" / "mapping.yaml"),
        "PATH": f"{venv}/bin",
    }
    code = (
        "import jwo_catalog_pipeline.definitions, jwo_catalog_pipeline.defs.ecs_run_launcher\n"
        "import dagster_postgres, dagster_webserver\n"
        "import importlib.util as u; assert not any(map(u.find_spec, ('moto', 'pytest', 'mypy')))\n"
        f"assert jwo_catalog_pipeline.definitions.__file__.startswith({str(venv)!r})"
    )
    subprocess.run([python, "-c", code], check=True, env=settings, cwd=tmp_path / "home")
    subprocess.run([python, "-m", "pip", "check", "--quiet"], check=True)
    assert (DEPLOY / "dagster.yaml").exists()
