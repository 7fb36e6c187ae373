"""`pulsekit init`: write a configuration file with its schema, and an example job."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import exchange_option, force_option, project_option
from pulsekit.cli.output.output import note
from pulsekit.errors import ConfigurationError, PulsekitError

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit init
pulsekit init --exchange exchange/me/v1/jobs --project autoland
"""

_JOB = "job.yml"


def command(
    exchange: Annotated[str | None, exchange_option("exchange/<you>/v1/jobs")] = None,
    project: Annotated[str, project_option()] = "autoland",
    force: Annotated[bool, force_option("Replace existing files.")] = False,
) -> int:
    """Write pulsekit.yml and job.yml into the current folder. job.yml is a valid job with a comment on every field.

    init also writes pulsekit.schema.json, with which your editor completes and checks pulsekit.yml.

    If a sandbox is running, you can then run 'pulsekit publish job.yml' without configuring a broker.
    """
    from datetime import UTC, datetime
    from uuid import uuid4

    from pulsekit._config.file_schema import PROJECT_FILE, schema_text
    from pulsekit._config.settings import load_settings
    from pulsekit._config.templates import SCHEMA_FILE, job_text, project_text
    from pulsekit.bindings.names import owner
    from pulsekit.cli.output.files import write_new, write_whole

    if not force and (there := [name for name in (PROJECT_FILE, SCHEMA_FILE, _JOB) if Path(name).exists()]):
        verb = "exists" if len(there) == 1 else "exist"
        raise ConfigurationError(f"{', '.join(there)} already {verb}: add --force to overwrite")
    user = None
    with suppress(PulsekitError):  # the configuration that --force replaces may be invalid
        user = load_settings().user
    exchange = exchange or f"exchange/{user or 'me'}/v1/jobs"
    texts = {
        PROJECT_FILE: project_text(exchange, project),
        SCHEMA_FILE: schema_text(user=False),
        _JOB: job_text(project, owner(exchange) or "", task=uuid4(), now=datetime.now(UTC)),
    }
    for name, text in texts.items():
        try:
            (write_whole if force else write_new)(Path(name), text)
        except FileExistsError:
            raise ConfigurationError(f"{name} already exists: add --force to overwrite") from None
        note(f"wrote {name}")
    note("next, run 'pulsekit sandbox' in another terminal, and 'pulsekit publish job.yml --dry-run'")
    return ExitCode.DONE
