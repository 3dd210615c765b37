#!/bin/sh
# Installs TSM from this checkout: the program, manual pages, completions. Nothing runs afterwards that did not run before.
#
#   ./install.sh                     into ~/.local, for you
#   sudo ./install.sh /usr/local     for all users; what was built before is taken as it is
#   ./install.sh --uninstall [DIR]   removes exactly that; homes (~/.tsm) and services stay
#
# TSM_INSTALL_BUILT=yes: what was built before (target/release/tsm) is taken as it is, for you too.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
uninstall=no
if [ "${1-}" = --uninstall ]; then
  uninstall=yes
  shift
fi
case ${1-} in
  -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit ;;
  -*) echo "install.sh: unknown option $1; --help shows how" >&2; exit 2 ;;
esac
prefix=${1:-$HOME/.local}
bin=$prefix/bin/tsm
man=$prefix/share/man/man1
bash=$prefix/share/bash-completion/completions/tsm
zsh=$prefix/share/zsh/site-functions/_tsm
fish=$prefix/share/fish/vendor_completions.d/tsm.fish

if [ "$uninstall" = yes ]; then
  for unit in /etc/systemd/system/*.service "${XDG_CONFIG_HOME:-$HOME/.config}"/systemd/user/*.service /etc/init.d/*; do
    if grep -qs "$bin .*resurrect" "$unit"; then
      echo "install.sh: $unit starts $bin at boot: 'tsm unstartup' first, then this again" >&2
      exit 1
    fi
  done
  rm -f "$bin" "$bash" "$zsh" "$fish" "$man/tsm.1" "$man"/tsm-*.1
  # Directories that nobody else has anything in.
  for file in "$bin" "$bash" "$zsh" "$fish" "$man/tsm.1"; do
    (cd "$prefix" 2>/dev/null && directory=${file#"$prefix"/} && rmdir -p "${directory%/*}" 2>/dev/null) || true
  done
  echo "TSM is gone from $prefix; what it looked after, and ~/.tsm, is as it was"
  exit 0
fi

built=${CARGO_TARGET_DIR:-$here/target}/release/tsm
if [ "${TSM_INSTALL_BUILT-no}" != yes ] && ! { [ "$(id -u)" = 0 ] && [ -x "$built" ]; }; then
  command -v cargo >/dev/null || { echo "install.sh: cargo is not on PATH; Rust 1.95 is needed: https://rustup.rs" >&2; exit 1; }
  (cd "$here" && cargo build --release --locked -p tsm-cli)
fi

mkdir -p "$prefix/bin"
# Beside it and renamed: a supervisor that runs from this file goes on, and takes the new one over by itself where it is newer.
cp "$built" "$bin.tmp"
chmod 755 "$bin.tmp"
mv -f "$bin.tmp" "$bin"
"$bin" --quiet man "$man"
mkdir -p "$(dirname "$bash")" "$(dirname "$zsh")" "$(dirname "$fish")"
"$bin" completions bash > "$bash"
{ echo '#compdef tsm'; "$bin" completions zsh; echo '_tsm_complete "$@"'; } > "$zsh"
"$bin" completions fish > "$fish"

echo "$("$bin" --version) is in $bin, with manual pages (man tsm) and completions"
case :$PATH: in
  *":$prefix/bin:"*) ;;
  *) echo "$prefix/bin is not on your PATH: add it in your shell's startup file" ;;
esac
echo "With functions and aliases of your shell in services: add  eval \"\$(tsm init bash)\"  to ~/.bashrc (or zsh, fish)"
