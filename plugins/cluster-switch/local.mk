# SPDX-License-Identifier: MIT
# The rooms of the plugin and of its switch, without the plugin's entry: unit tests link them as well.
CLUSTER_SOURCES = \
	plugins/cluster-switch/bridge.c plugins/cluster-switch/bridge.h \
	plugins/cluster-switch/card.c plugins/cluster-switch/card.h \
	plugins/cluster-switch/cluster.h \
	plugins/cluster-switch/cluster-gateway.c plugins/cluster-switch/cluster-gateway.h \
	plugins/cluster-switch/conversation.c plugins/cluster-switch/conversation.h \
	plugins/cluster-switch/fdb.c plugins/cluster-switch/fdb.h \
	plugins/cluster-switch/guard.c plugins/cluster-switch/guard.h \
	plugins/cluster-switch/guardian.c plugins/cluster-switch/guardian.h \
	plugins/cluster-switch/lease.c plugins/cluster-switch/lease.h \
	plugins/cluster-switch/member.c plugins/cluster-switch/member.h \
	plugins/cluster-switch/options.c plugins/cluster-switch/options.h \
	plugins/cluster-switch/protocol.c plugins/cluster-switch/protocol.h \
	plugins/cluster-switch/ring.c plugins/cluster-switch/ring.h \
	plugins/cluster-switch/schedule.h \
	plugins/cluster-switch/serve.c plugins/cluster-switch/serve.h \
	plugins/cluster-switch/serve-join.c plugins/cluster-switch/serve-private.h \
	plugins/cluster-switch/serve-talk.c plugins/cluster-switch/serve-wait.c \
	plugins/cluster-switch/show.c \
	plugins/cluster-switch/vxlan.c plugins/cluster-switch/vxlan.h \
	plugins/cluster-switch/vxlan-options.c

noinst_LTLIBRARIES += plugins/cluster-switch/libcluster.la
plugins_cluster_switch_libcluster_la_SOURCES = $(CLUSTER_SOURCES)
plugins_cluster_switch_libcluster_la_LIBADD = plugins/net-nat/libnat.la

plugin_LTLIBRARIES += plugins/cluster-switch/cluster-switch.la
plugins_cluster_switch_cluster_switch_la_SOURCES = plugins/cluster-switch/cluster-switch.c
plugins_cluster_switch_cluster_switch_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_cluster_switch_cluster_switch_la_LIBADD = plugins/cluster-switch/libcluster.la

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cluster_vxlan_test
TESTS += tests/unit/cluster_vxlan_test
endif
tests_unit_cluster_vxlan_test_SOURCES = tests/unit/cluster_vxlan_test.c
tests_unit_cluster_vxlan_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_vxlan_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)

# Unit tests of rooms, one block a test.
CLUSTER_FRAMES = \
	tests/unit/cluster_frames.c tests/unit/cluster_frames.h
if HAVE_CMOCKA
CLUSTER_FABRIC_TESTS = \
	tests/unit/cluster_bridge_limits_test \
	tests/unit/cluster_bridge_test \
	tests/unit/cluster_fdb_test \
	tests/unit/cluster_guard_test
check_PROGRAMS += $(CLUSTER_FABRIC_TESTS)
TESTS += $(CLUSTER_FABRIC_TESTS)
endif
tests_unit_cluster_fdb_test_SOURCES = tests/unit/cluster_fdb_test.c
tests_unit_cluster_fdb_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_fdb_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
tests_unit_cluster_guard_test_SOURCES = tests/unit/cluster_guard_test.c $(CLUSTER_FRAMES)
tests_unit_cluster_guard_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_guard_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
tests_unit_cluster_bridge_test_SOURCES = tests/unit/cluster_bridge_test.c tests/unit/cluster_bridge_case.h $(CLUSTER_FRAMES)
tests_unit_cluster_bridge_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_bridge_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
tests_unit_cluster_bridge_limits_test_SOURCES = tests/unit/cluster_bridge_limits_test.c tests/unit/cluster_bridge_case.h $(CLUSTER_FRAMES)
tests_unit_cluster_bridge_limits_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_bridge_limits_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cluster_ring_test
TESTS += tests/unit/cluster_ring_test
endif
tests_unit_cluster_ring_test_SOURCES = tests/unit/cluster_ring_test.c
tests_unit_cluster_ring_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_ring_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS) -lpthread

# Members and their switch: messages and leases, then real processes (tests/unit/cluster_serve_test.c).
if HAVE_CMOCKA
CLUSTER_MEMBER_TESTS = \
	tests/unit/cluster_hostile_test \
	tests/unit/cluster_protocol_test \
	tests/unit/cluster_lease_test \
	tests/unit/cluster_serve_test
check_PROGRAMS += $(CLUSTER_MEMBER_TESTS)
TESTS += $(CLUSTER_MEMBER_TESTS)
endif
tests_unit_cluster_protocol_test_SOURCES = tests/unit/cluster_protocol_test.c
tests_unit_cluster_protocol_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_protocol_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
tests_unit_cluster_lease_test_SOURCES = tests/unit/cluster_lease_test.c
tests_unit_cluster_lease_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_lease_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
CLUSTER_CASE = tests/unit/cluster_case.h tests/unit/cluster_host.c tests/unit/cluster_host.h tests/unit/descriptors.h
tests_unit_cluster_hostile_test_SOURCES = tests/unit/cluster_hostile_test.c $(CLUSTER_CASE)
tests_unit_cluster_hostile_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_hostile_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
tests_unit_cluster_serve_test_SOURCES = tests/unit/cluster_serve_test.c $(CLUSTER_CASE)
tests_unit_cluster_serve_test_CFLAGS = $(UNIT_CFLAGS) $(JSON_CFLAGS)
tests_unit_cluster_serve_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
# The card: its tests are the guest's and the switch's side of it (tests/unit/cluster_card_case.h).
CLUSTER_CARD_WITH = tests/unit/libcluster-card-test.a plugins/cluster-switch/libcluster.la core/config/libconfig.a $(UNIT_LIBS) \
	$(CONFIG_LIBS)
if HAVE_CMOCKA
check_LIBRARIES += tests/unit/libcluster-card-test.a
check_PROGRAMS += tests/unit/cluster_card_test tests/unit/cluster_options_test
TESTS += tests/unit/cluster_card_test tests/unit/cluster_options_test
endif
tests_unit_libcluster_card_test_a_SOURCES = tests/unit/cluster_card_case.c tests/unit/cluster_card_case.h \
	tests/unit/nat_host.c tests/unit/nat_host.h tests/unit/descriptors.h tests/unit/iovec_copy.h \
	plugins/cluster-switch/cluster-switch.c
tests_unit_libcluster_card_test_a_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_card_test_SOURCES = tests/unit/cluster_card_test.c
tests_unit_cluster_card_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_card_test_LDADD = $(CLUSTER_CARD_WITH)
tests_unit_cluster_options_test_SOURCES = tests/unit/cluster_options_test.c
tests_unit_cluster_options_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_options_test_LDADD = $(CLUSTER_CARD_WITH)

# The gateway behind it.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cluster_gateway_test
TESTS += tests/unit/cluster_gateway_test
endif
tests_unit_cluster_gateway_test_SOURCES = tests/unit/cluster_gateway_test.c
tests_unit_cluster_gateway_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_gateway_test_LDADD = $(CLUSTER_CARD_WITH)

# What a guest may begin towards others.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cluster_conversation_test
TESTS += tests/unit/cluster_conversation_test
endif
tests_unit_cluster_conversation_test_SOURCES = tests/unit/cluster_conversation_test.c
tests_unit_cluster_conversation_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_conversation_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cluster_wait_test
TESTS += tests/unit/cluster_wait_test
endif
tests_unit_cluster_wait_test_SOURCES = tests/unit/cluster_wait_test.c
tests_unit_cluster_wait_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_wait_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
