#!/bin/sh
# A container that does nothing wrong: files, pipes, child processes, a TCP exchange over its own loopback device,
# one call that fails, and an exit code that says so.
set -u
cd /tmp
mkdir -p work/in work/out
for n in 1 2 3; do seq 1 "$((n * 10))" > "work/in/$n.txt"; done
cat work/in/*.txt | sort -rn | uniq -c | awk '{ sum += $2 } END { print sum }' > work/out/sum.txt
tar -c -C work in | gzip > work/out/in.tar.gz
mv work/out/sum.txt work/out/total.txt
nc -l -p 7007 > work/out/received.txt &
listener=$!
until grep -q ':1B5F ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done
echo 'hello over loopback' | nc -w 2 127.0.0.1 7007
wait "$listener"
cat /tmp/absent 2> /dev/null
chmod 600 work/out/total.txt
rm -r work/in
exit 3
