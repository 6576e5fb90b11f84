# SPDX-License-Identifier: MIT
# The rooms of the plugin and of its switch, without the plugin's entry: unit tests link them as well.
CLUSTER_SOURCES = \
	plugins/cluster-switch/bridge.h \
	plugins/cluster-switch/card.h \
	plugins/cluster-switch/cluster.h \
	plugins/cluster-switch/conversation.c plugins/cluster-switch/conversation.h \
	plugins/cluster-switch/fdb.h \
	plugins/cluster-switch/guard.h \
	plugins/cluster-switch/guardian.h \
	plugins/cluster-switch/lease.h \
	plugins/cluster-switch/member.h \
	plugins/cluster-switch/protocol.c plugins/cluster-switch/protocol.h \
	plugins/cluster-switch/ring.h \
	plugins/cluster-switch/serve.h \
	plugins/cluster-switch/vxlan.h

noinst_LTLIBRARIES += plugins/cluster-switch/libcluster.la
plugins_cluster_switch_libcluster_la_SOURCES = $(CLUSTER_SOURCES)
plugins_cluster_switch_libcluster_la_LIBADD = plugins/net/libnet.la

# What a guest may begin towards others.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cluster_conversation_test
TESTS += tests/unit/cluster_conversation_test
endif
tests_unit_cluster_conversation_test_SOURCES = tests/unit/cluster_conversation_test.c
tests_unit_cluster_conversation_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_conversation_test_LDADD = plugins/cluster-switch/libcluster.la $(UNIT_LIBS)
