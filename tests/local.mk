# SPDX-License-Identifier: MIT
# What is not built but belongs to a release: the suite, the guest tests, the lab, the benches.
EXTRA_DIST += tests/unit/cmocka-run tests/unit/lsan.supp \
	tests/check \
	tests/bench/bench.py tests/bench/cluster.py tests/bench/common.py tests/bench/first-run.c tests/bench/fs.py tests/bench/nat.py \
	tests/bench/sandbox.py tests/bench/udp-flood.c tests/bench/vsock.py \
	tests/guest/run tests/guest/lib.sh tests/guest/console.py tests/guest/extract-vmlinux.py \
	tests/guest/agent.sh tests/guest/boot.sh tests/guest/cache.sh tests/guest/console.sh tests/guest/control.sh tests/guest/devices.sh \
	tests/guest/doctor.sh tests/guest/hostile.sh tests/guest/init.py tests/guest/init.sh tests/guest/power.sh tests/guest/refused.sh \
	tests/guest/net-far.py tests/guest/still.py tests/guest/net.sh tests/guest/sandbox.sh tests/guest/share.sh tests/guest/stop.sh tests/guest/vsock-peer.c tests/guest/vsock.sh \
	tests/guest/dax-guest.c tests/guest/dax.sh tests/guest/file-checks.c tests/guest/file-exerciser.c tests/guest/fs-build.sh tests/guest/fs-exerciser.sh \
	tests/guest/fs-life.sh tests/guest/fs.sh tests/guest/root/fs-owner.sh tests/guest/shares.bash \
	tests/guest/cluster.sh tests/guest/cluster-sixteen.sh tests/guest/far.bash tests/guest/root/cluster.bash tests/guest/root/cluster-kill.sh tests/guest/root/cluster-many.sh tests/guest/root/cluster-taps.py \
	tests/guest/root/cluster-vxlan.py tests/guest/root/cluster-vxlan.sh \
	tests/guest/root/control.sh tests/guest/root/nat-flows.sh tests/guest/root/nat-netem.sh tests/guest/root/nat-peer.py tests/guest/root/nat-peers.sh \
	tests/guest/root/nat-tap.sh tests/guest/root/nat-transfer.py tests/guest/root/notify.sh tests/guest/root/permission.sh \
	tests/lab/README.md tests/lab/init tests/lab/lab tests/lab/selftest tests/lab/setup
