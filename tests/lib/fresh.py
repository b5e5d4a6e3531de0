"""An empty server on which guest may do everything, begun anew when it has ended."""

import subprocess
import tempfile

from .server import Lycosa, Tarantool


class Fresh:
    """`kind` is lycosa or tarantool; further arguments go to the server."""

    def __init__(self, kind, **options):
        self.kind, self.options, self.server = kind, options, None

    @property
    def port(self):
        return self.server.port

    def start(self, port=None):
        self.directory = tempfile.TemporaryDirectory(prefix="fresh-")
        if self.kind == "tarantool":
            self.server = Tarantool(self.directory.name, port, **self.options)
        else:
            # Without the applications, whose spaces would show in the answers, and with a guest who may do
            # everything as admin may, the grant to itself included.
            self.server = Lycosa(self.directory.name, port, roles=(), users={}, **self.options)
        self.server.start()

    def end(self):
        self.server.kill()
        self.directory.cleanup()

    def renew(self):
        """Puts another in its place, on the same port."""
        port = self.port
        self.end()
        self.start(port)

    def revive(self, quietly=False):
        """Starts another in its place if it has ended, which is printed unless `quietly`; says whether it had."""
        try:
            # A process that is going down closes its connections first.
            self.server.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return False
        if not quietly:
            status = self.server.process.returncode
            print(f"the server ended with {status}:\n{self.server.log()[-2000:]}")
        self.renew()
        return True

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end()
