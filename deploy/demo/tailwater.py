"""Tailwater as the demo runs it: started, killed, asked, subscribed to."""

import hashlib
import json
import os
import pathlib
import string
import subprocess
import time
import urllib.request

import servers

PASSWORD = "only-for-the-demo"
WAIT_MAX = 60.0


def await_(what: str, holds):
    """Waits until it holds; never longer than a minute."""
    deadline = time.monotonic() + WAIT_MAX
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: gave up waiting until {what}")
        time.sleep(0.1)


class Tailwater:
    def __init__(self, folder: pathlib.Path, binary: pathlib.Path, ports: dict):
        self.folder, self.binary, self.process = folder, binary, None
        self.config, here = folder / "tailwater.yaml", pathlib.Path(__file__).parent
        hashes = {f"{role}_hash": "sha256:" + hashlib.sha256(token(role).encode()).hexdigest() for role in ["sales", "finance"]}
        template = string.Template((here / "tailwater.yaml").read_text())
        self.config.write_text(template.substitute(ports, **hashes))
        (folder / "customer.yaml").write_text((here / "customer.yaml").read_text())
        self.environment = {**os.environ, "CRM_PASSWORD": PASSWORD}

    def start(self):
        endpoints = self.folder / "data" / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        with open(self.folder / "tailwater.log", "a") as log:
            command = [self.binary, "run", "--config", self.config]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

        def ready():
            if self.process.poll() is not None:
                raise SystemExit(f"demo: Tailwater ended, see {self.folder / 'tailwater.log'}:\n{self.log_end()}")
            try:
                address = json.loads(endpoints.read_text())["http"]
                return urllib.request.urlopen(f"http://{address}/readyz").status == 200
            except OSError:
                return False

        await_("Tailwater is ready", ready)

    def log_end(self) -> str:
        return "\n".join((self.folder / "tailwater.log").read_text().splitlines()[-15:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def command(self, *arguments):
        return [self.binary, arguments[0], "--config", self.config, *arguments[1:]]

    def ask(self, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, env=self.environment)

    def status(self) -> dict:
        answer = self.ask("status", "--json").stdout
        return json.loads(answer) if answer else {}

    def memory_mib(self) -> int:
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024


def token(role: str) -> str:
    return f"the {role} token of the demo"


class Subscriber:
    """A `tailwater subscribe` of one subject, from now on; it connects again by itself."""

    def __init__(self, tailwater: Tailwater, subject: str, role: str, *what):
        self.subject, self.file = subject, tailwater.folder / f"{subject}.jsonl"
        secret = tailwater.folder / f"{subject}.token"
        secret.write_text(token(role))
        arguments = ["subscribe", "--subject", subject, "--token-file", secret, "--from", "latest", "--subscription", subject,
                     "--format", "json", *what]
        with open(self.file, "w") as out, open(tailwater.folder / f"{subject}.log", "w") as log:
            self.process = subprocess.Popen(tailwater.command(*arguments), stdout=out, stderr=log)

    def seen(self) -> list:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def stop(self):
        self.process.kill()
        self.process.wait()
