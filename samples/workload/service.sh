#!/bin/sh
# The demo's container: a small service that serves a few pages. One request carries a command where a host name
# belongs, and the service hands it to a shell.
# usage: service.sh REQUESTED_HOST
log=/var/log/service.log

request() {
  echo "$(date -u +%T) GET $1" >> "$log"
  cat "/srv$1" > /dev/null
  sleep 0.1
}

request /index.html
request /about.html
# The flaw: the parameter is not quoted for the shell.
sh -c "ping -c 1 -W 1 $1" >> "$log" 2>&1
cat /srv/index.html > /dev/null
exit 0
