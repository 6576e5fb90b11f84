# SPDX-License-Identifier: MIT
# What the agent and core/sandbox have in common.
noinst_LIBRARIES += agent/libagentshared.a
agent_libagentshared_a_SOURCES = \
	agent/protocol.c agent/protocol.h \
	agent/tree.h agent/tree-private.h \
	agent/tree-links.c agent/tree-links.h \
	agent/tree-receive.c agent/tree-send.c agent/tree-way.c

if HAVE_CMOCKA
TREE_TESTS = tests/unit/tree_test
check_PROGRAMS += $(TREE_TESTS)
TESTS += $(TREE_TESTS)
endif
tests_unit_tree_test_SOURCES = tests/unit/tree_test.c tests/unit/tree_files.c tests/unit/tree_files.h
tests_unit_tree_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_tree_test_LDADD = agent/libagentshared.a $(UNIT_LIBS)
