# SPDX-License-Identifier: MIT
# Benches that are programs: built when they are asked for (make tests/bench/fs-ring), never installed.
if HAVE_CMOCKA
EXTRA_PROGRAMS += tests/bench/fs-ring
# tests/guest/root/nat-tap.sh and nat-peers.sh run it.
check_PROGRAMS += tests/bench/nat-tap
# tests/guest/root/cluster-kill.sh and cluster-many.sh run it.
check_PROGRAMS += tests/bench/cluster-tap
endif
# tests/guest/root/nat-flows.sh runs it.
check_PROGRAMS += tests/bench/nat-flows
# tests/guest/root/cluster-vxlan.sh runs it.
check_PROGRAMS += tests/bench/bridge-tap
tests_bench_fs_ring_SOURCES = tests/bench/fs-ring.c \
	tests/bench/ring-capsa.c \
	tests/bench/ring-fuse.c tests/bench/ring-fuse.h \
	tests/bench/ring-queue.c tests/bench/ring-queue.h \
	tests/bench/ring-side.h \
	tests/bench/ring-virtiofsd.c
tests_bench_fs_ring_CFLAGS = $(UNIT_CFLAGS)
tests_bench_fs_ring_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_bench_fs_ring_LDADD = $(VIRTIO_PLUGIN_TEST_WITH) -lpthread
CLEANFILES += tests/bench/fs-ring$(EXEEXT)

tests_bench_nat_tap_SOURCES = tests/bench/nat-tap.c tests/bench/net-tap.c tests/bench/net-tap.h
tests_bench_nat_tap_CFLAGS = $(UNIT_CFLAGS)
tests_bench_nat_tap_LDADD = $(NET_NAT_TEST_WITH)
tests_bench_cluster_tap_SOURCES = tests/bench/cluster-tap.c tests/bench/net-tap.c tests/bench/net-tap.h \
	tests/unit/nat_host.c tests/unit/nat_host.h tests/unit/iovec_copy.h \
	plugins/cluster-switch/cluster-switch.c
tests_bench_cluster_tap_CFLAGS = $(UNIT_CFLAGS)
tests_bench_cluster_tap_LDADD = plugins/cluster-switch/libcluster.la core/config/libconfig.a $(UNIT_LIBS) $(CONFIG_LIBS)
tests_bench_nat_flows_SOURCES = tests/bench/nat-flows.c
tests_bench_bridge_tap_SOURCES = tests/bench/bridge-tap.c
tests_bench_bridge_tap_LDADD = plugins/cluster-switch/libcluster.la
