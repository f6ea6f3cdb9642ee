#!/bin/sh
# The browser tests use Debian's Chromium: Playwright's own cannot be downloaded everywhere.
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
    exit
fi
echo "The browser tests need chromium: sudo apt-get install --no-install-recommends chromium" >&2
exit 1
