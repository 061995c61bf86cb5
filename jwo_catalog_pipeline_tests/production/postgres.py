"""A PostgreSQL server of one's own, from Debian's packages. It can be killed and started again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SECONDS = 30
# The server refuses to run as root.
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()


def binaries() -> Path:
    """The folder of the newest server's programs; Debian has them in no folder of PATH."""
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return found[-1].parent
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise FileNotFoundError("PostgreSQL's server is not installed: apt-get install postgresql")


class Postgres:
    """A server on a free port of the loopback address, with the user and the database `dagster`."""

    def __init__(self, folder: Path, password: str) -> None:
        self.data, self.log = folder / "data", folder / "log"
        folder.mkdir(mode=0o755)
        if NOBODY:
            for above in folder.parents:  # pytest's folders are root's alone
                if above.stat().st_uid == 0 and above != Path("/") and not above.stat().st_mode & 0o001:
                    above.chmod(0o711)
            shutil.chown(folder, "nobody", "nogroup")
        secret = folder / "password"
        secret.write_text(password)
        secret.chmod(0o644)
        self._run("initdb", "--username=dagster", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync")
        secret.unlink()
        self._certificate()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.password = password
        self.start()
        connection = self.connect("postgres")
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE dagster")
        connection.close()

    def connect(self, database: str = "dagster") -> "psycopg2.extensions.connection":
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="dagster", password=self.password, dbname=database, connect_timeout=2
        )

    def start(self) -> None:
        """Start it, and wait until it has recovered what was under way when it was killed."""
        command = [*NOBODY, str(binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.data}", "-c", "ssl=on"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *options], stdout=output, stderr=output, cwd=self.data.parent, start_new_session=True
            )
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg2.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"PostgreSQL does not start: {self.log.read_text()[-2000:]}") from None
                time.sleep(0.1)

    def kill(self) -> None:
        """As a lost machine would have it: the server and every process of it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def _certificate(self) -> None:
        """For TLS, which the deployment insists on."""
        key = rsa.generate_private_key(65_537, 2_048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        (self.data / "server.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        own = self.data / "server.key"
        own.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        own.chmod(0o600)
        if NOBODY:
            shutil.chown(own, "nobody", "nogroup")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*NOBODY, str(binaries() / program), "-D", str(self.data), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.data.parent, check=False)
        assert done.returncode == 0, done.stderr
