"""Throw-away PostgreSQL 15 and MariaDB servers in a folder of their own, on free ports."""

import os
import pathlib
import socket
import subprocess
import time

POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
START_WITHIN = 30.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(command, **options) -> str:
    """The command's output; what it said on standard error, where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"demo: {command[0]} failed: {done.stderr.strip()}")
    return done.stdout


class Postgres:
    """One server with one database, both called `name`."""

    def __init__(self, name: str, folder: pathlib.Path):
        self.name, self.home, self.port = name, folder / name, free_port()
        self.home.mkdir()
        if os.getuid() == 0:
            # The server refuses to run as root.
            run(["chown", "postgres", self.home])
        self._as_postgres([POSTGRES / "initdb", "-D", self.home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"])
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.home}", "wal_level=logical"]
        options = " ".join(f"-c {setting}" for setting in settings)
        self._as_postgres([POSTGRES / "pg_ctl", "-D", self.home / "data", "-l", self.home / "log", "-o", options, "-w", "start"], quiet=True)
        self.sql(f"CREATE DATABASE {name}", database="postgres")

    def _as_postgres(self, command, quiet=False):
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # A server that is started this way keeps the descriptors that it is given.
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} if quiet else {"capture_output": True}
        subprocess.run([str(part) for part in command], check=True, cwd=self.home, **options)

    def sql(self, statements: str, database=None):
        command = ["psql", "-qAtX", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres"]
        out = run([*command, "-d", database or self.name], input=statements)
        return [tuple(line.split("\t")) for line in out.splitlines()]

    def stop(self):
        try:
            self._as_postgres([POSTGRES / "pg_ctl", "-D", self.home / "data", "-m", "immediate", "-w", "stop"], quiet=True)
        except subprocess.CalledProcessError:
            pass

    def door(self) -> str:
        return f"psql -h 127.0.0.1 -p {self.port} -U postgres {self.name}"


class Mariadb:
    """One server with the database `name`, and a user `tailwater` who may read it and its log."""

    def __init__(self, name: str, folder: pathlib.Path, password: str):
        self.name, self.home, self.port = name, folder / name, free_port()
        self.home.mkdir()
        owner = ["--user=root"] if os.getuid() == 0 else []
        data = f"--datadir={self.home / 'data'}"
        run(["mariadb-install-db", "--no-defaults", data, *owner, "--auth-root-authentication-method=normal", "--skip-test-db"])
        settings = ["log-bin=binlog", "binlog-format=ROW", "binlog-row-image=FULL", "binlog-row-metadata=FULL", "server-id=1",
                    "bind-address=127.0.0.1", "skip-name-resolve", "character-set-server=utf8mb4"]
        command = ["/usr/sbin/mariadbd", "--no-defaults", *owner, data, f"--port={self.port}", f"--socket={self._socket()}",
                   f"--pid-file={self.home / 'pid'}", *[f"--{setting}" for setting in settings]]
        with open(self.home / "log", "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_WITHIN
        while subprocess.run(self._client() + ["-e", "SELECT 1"], capture_output=True).returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"demo: MariaDB does not start, see {self.home / 'log'}")
            time.sleep(0.1)
        self.sql(
            f"CREATE DATABASE {name}; CREATE USER tailwater@'127.0.0.1' IDENTIFIED BY '{password}'; "
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO tailwater@'127.0.0.1'", database="mysql")

    def _socket(self) -> pathlib.Path:
        return self.home / "socket"

    def _client(self):
        return ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", f"--socket={self._socket()}", "--user=root", "-N", "-B"]

    def sql(self, statements: str, database=None):
        out = run([*self._client(), database or self.name], input=statements)
        return [tuple(line.split("\t")) for line in out.splitlines()]

    def stop(self):
        self.process.kill()
        self.process.wait()

    def door(self) -> str:
        return f"mariadb --socket={self._socket()} --user=root {self.name}"
