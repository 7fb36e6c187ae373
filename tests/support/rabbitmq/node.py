"""A private RabbitMQ for tests and benchmarks: on loopback, on free ports, all its files in one temporary folder."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from support.rabbitmq.broker import RabbitMQ, SharedBroker, run
from support.rabbitmq.home import HOST, Home, speaks_amqp, wait_until
from support.rabbitmq.root import SCRIPTS, Root

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence
    from typing import Self

__all__ = ["PrivateNode", "lacking", "running"]

_CONNECT_SECONDS = 30.0
_END_SECONDS = 30.0


class PrivateNode(RabbitMQ):
    """A private RabbitMQ that runs within its `with` block and leaves nothing behind: see `Home`.

    Args:
        home: the home of the node; by default a new one.
        name: the name, unique in the home.
        joins: a node of the same home or of its peer, whose cluster it joins. It runs when this one starts.
        settings: further lines of `rabbitmq.conf`.
    """

    def __init__(
        self,
        home: Home | None = None,
        *,
        name: str = "pulsekit",
        joins: PrivateNode | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        self._home = home or Home()
        self._has_own_home = home is None
        port, self._dist_port = self._home.ports(2)
        super().__init__(self._home.host, port, "guest", "guest")
        self.name = f"{name}@{'localhost' if self.host == HOST else self.host}"
        self._joins = joins
        self._settings = settings
        self._owned = ExitStack()
        self._node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._owned:
            if self._has_own_home:
                self._owned.enter_context(self._home)
            self.folder = self._home.folder / self.name
            self.folder.mkdir()
            self._log = self.folder / "node.log"
            self._furnish()
            self._owned.callback(self.kill)
            self.start()
            if self._joins is None:
                self.prepare()
            self._owned = self._owned.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The existing processes of the node: epmd, and the node itself while it runs."""
        return (self._home.pid, *((self._node.pid,) if self._node else ()))

    @property
    def is_up(self) -> bool:
        """Return whether the node was started, and neither stopped nor killed since."""
        return self._node is not None

    @property
    def ctl_command(self) -> tuple[str, ...]:
        """The command that is this node's `rabbitmqctl`, for any current folder."""
        settings = (f"{name}={value}" for name, value in self._environment().items())
        return self._home.root.command("/usr/bin/env", "-i", *settings, f"{SCRIPTS}/rabbitmqctl")

    def free_port(self) -> int:
        """Find a port for another listener."""
        (port,) = self._home.ports(1)
        return port

    def launch(self) -> None:
        """Start the node and return at once."""
        if self._node:
            raise RuntimeError("the node is up: stop or kill it first")
        self._node = self._home.spawn(
            (f"{SCRIPTS}/rabbitmq-server", "-noinput"), self._environment(), self.folder, self._log
        )

    def start(self) -> None:
        """Start the node, again after `stop` or `kill`, on the same port and with its data on disk.

        Raises:
            RuntimeError: Raised when it did not start. The message has the end of its log.
        """
        self.launch()
        assert self._node
        wait_until(speaks_amqp, (self.host, self.port), self._node, self._log)

    def stop(self) -> None:
        """Ask the node to shut down, as an administrator would, and wait until it has."""
        if self._node:
            self._node.terminate()
            self._reap()

    def kill(self) -> None:
        """Kill the node, as a power failure would."""
        if self._node:
            self._node.kill()
            self._reap()

    def restart(self) -> None:
        """Stop the node and start it again."""
        self.stop()
        self.start()

    def eval(self, *expressions: str) -> str:
        # A hundred times faster than rabbitmqctl, which starts a virtual machine of its own.
        erlang = ", ".join(expressions)
        command = self._home.root.command("erl_call", "-n", self.name, "-e")
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                answer = run(command, env=self._environment(), given=f"{erlang}.\n")
                break
            except RuntimeError as error:
                # On a busy machine the node is slow to answer; nothing was evaluated.
                if "failed to connect to node" not in str(error) or not self.is_up or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)  # between two attempts: no event reports that the node accepts connections
        if not answer.startswith("{ok, "):
            raise RuntimeError(f"{answer}\nto: {erlang}")
        return answer.removeprefix("{ok, ").removesuffix("}")

    def ctl(self, *args: str) -> str:
        return run((*self.ctl_command, "-q", *args))

    def _furnish(self) -> None:
        settings = ["disk_free_limit.absolute = 1MB", *self._settings]
        if self._joins is not None:
            settings += [
                "cluster_formation.peer_discovery_backend = classic_config",
                f"cluster_formation.classic_config.nodes.1 = {self._joins.name}",
            ]
        (self.folder / "rabbitmq.conf").write_text("\n".join([*settings, ""]))
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        on_host = f"-kernel inet_dist_use_interface {{{self.host.replace('.', ',')}}}"
        return self._home.environment | {
            "RABBITMQ_ALLOW_INPUT": "1",  # the shell script then becomes the node, so that the node can be killed
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_USE_LONGNAME": "false" if self.host == HOST else "true",
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": on_host,
            "RABBITMQ_CTL_ERL_ARGS": on_host,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOGS": "-",  # to stdout, which is node.log; errors during the boot are there, too
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
        }

    def _reap(self) -> None:
        if self._node:
            self._node.wait(_END_SECONDS)
            self._node = None


def lacking() -> str | None:
    """Return in one line what `running` needs, or None."""
    if os.environ.get("PULSEKIT_TEST_RABBITMQ"):
        return None
    return Root.chosen().lacking()


@contextmanager
def running() -> Iterator[RabbitMQ]:
    """Yield a private node, or the broker that the environment names.

    `PULSEKIT_TEST_RABBITMQ` is the URL of an administrator, and `PULSEKIT_TEST_RABBITMQCTL` the command that is its
    `rabbitmqctl`, such as `docker exec my-rabbit rabbitmqctl`. Use a disposable one: tests leave users and queues.
    """
    url = os.environ.get("PULSEKIT_TEST_RABBITMQ")
    if url:
        shared = SharedBroker(url, shlex.split(os.environ.get("PULSEKIT_TEST_RABBITMQCTL", "rabbitmqctl")))
        shared.prepare()
        yield shared
    else:
        with PrivateNode() as node:
            yield node
