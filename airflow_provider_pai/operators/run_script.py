"""Script of a DSW run: its code, its command, its log and its result."""

from __future__ import annotations

import shlex
from string import Template
from typing import TYPE_CHECKING

from airflow_provider_pai.remote import CODE_NAME, LOG_NAME, RESULT_NAME

if TYPE_CHECKING:
    from airflow_provider_pai.operators.workload.code import Source

# A mount of OSS shows a file when it is closed, and is no place for frequent writes or for Git [help: PAI, reading
# OSS data in DLC and DSW; read-and-write-dataset-data]. So the log grows on the instance's own disk, and whole copies
# of it are put on the mount, under another name until they are complete: a renamed file has been uploaded. Where a
# mount renames nothing over a file that is there, the file is written anew. The last line gets an end, since only
# whole lines are copied into the task's log. The result comes last and only once: an instance that is started again
# by hand does not run the command again. Who ends the script (SIGTERM) ends all that the command has started in its
# process group; then its log comes home, and there is no result: the command did not come to its end.
_SCRIPT = Template("""run=$run
$guard
export HOME=~
work=~/.pai-run
rm -rf "$$work" ~/pai-work
mkdir -p "$$work" || work=$$(mktemp -d)
mkdir -p ~/pai-work
cd ~/pai-work

publish() {
  cp "$$work/$$1" "$$run/$$1.part" && mv -f "$$run/$$1.part" "$$run/$$1" && return
  cp "$$work/$$1" "$$run/$$1"
  rm -f "$$run/$$1.part"
}

(
trap 'kill $$!; exit' TERM
while :; do
  sleep $every & wait $$!
  [ "$$work/$log" -nt "$$work/copied" ] || continue
  touch "$$work/copied"
  publish $log
done
) &
copier=$$!

set -m
(
set -e
$code
$command
) < /dev/null > "$$work/$log" 2>&1 &
command=$$!
set +m
trap 'ended=1; kill -- -$$command' TERM
wait $$command
code=$$?
while kill -0 $$command; do wait $$command; code=$$?; done
trap '' TERM

kill $$copier
wait $$copier
[ -z "$$(tail -c 1 "$$work/$log")" ] || echo >> "$$work/$log"
publish $log
[ -z "$$ended" ] || exit 143
printf '{"exit_code": %d, "finished_at": "%s"}' "$$code" "$$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "$$work/$result"
publish $result
""")

_ONCE = f'[ -e "$run/{RESULT_NAME}" ] && exit 0'
_AGAIN = f'rm -f "$run/{RESULT_NAME}"'

_CHECKOUT = Template("""rm -rf "$$HOME/pai-code"
git clone --quiet $branch $repo "$$HOME/pai-code"
git -C "$$HOME/pai-code" checkout --quiet --detach $commit
""")
_UNPACK = Template("""rm -rf "$$HOME/pai-code"
mkdir "$$HOME/pai-code"
tar -xzf "$$run/$archive" -C "$$HOME/pai-code"
""")
_ENTER = Template("""export PAI_CODE_DIR=$folder/$path
cd "$$PAI_CODE_DIR"
""")


def run_script(
    *, folder: str, command: str, source: Source | None, code_path: str, every: float, once: bool = True
) -> str:
    """Return the script, for bash.

    :param folder: where the run's folder on OSS is mounted; it holds the code of a private repository.
    :param code_path: where code from OSS is mounted; code from Git goes into the home folder.
    :param every: seconds between two copies of the log.
    :param once: an instance that is started again does not run the command again.
    """
    return _SCRIPT.substitute(
        run=folder,
        guard=_ONCE if once else _AGAIN,
        result=RESULT_NAME,
        log=LOG_NAME,
        every=f"{every:g}",
        code=_enter(source, code_path) if source else "",
        command=command,
    )


def _enter(source: Source, code_path: str) -> str:
    """Return the lines that fetch the code and go into its folder."""
    path = shlex.quote(source.path)
    if source.mount:
        return _ENTER.substitute(folder=code_path, path=path)
    fetch = (
        _UNPACK.substitute(archive=CODE_NAME)
        if source.login
        else _CHECKOUT.substitute(
            repo=shlex.quote(source.repo),
            branch=f"--branch {shlex.quote(source.branch)}" if source.branch else "",
            commit=shlex.quote(source.commit),
        )
    )
    return fetch + _ENTER.substitute(folder='"$HOME/pai-code"', path=path)
