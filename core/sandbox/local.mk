# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/sandbox/libsandbox.a
core_sandbox_libsandbox_a_CPPFLAGS = $(AM_CPPFLAGS) -DCAPSA_LIBEXEC_FOLDER='"$(pkglibexecdir)"'
# Of its own, because descriptor.c and terminal.c are built for the console plugin too.
core_sandbox_libsandbox_a_CFLAGS = $(AM_CFLAGS)
core_sandbox_libsandbox_a_SOURCES = \
	core/sandbox/client.c core/sandbox/client.h \
	core/sandbox/cluster-option.c core/sandbox/cluster-option.h \
	core/sandbox/copy.c core/sandbox/copy.h \
	core/sandbox/exec.c core/sandbox/exec.h \
	core/sandbox/image-applets.c \
	core/sandbox/image-archive.c \
	core/sandbox/image-cache.c \
	core/sandbox/image-inputs.c \
	core/sandbox/image-modules.c \
	core/sandbox/image-private.h \
	core/sandbox/image-tree.c \
	core/sandbox/image.c core/sandbox/image.h \
	core/sandbox/lifeline.c core/sandbox/lifeline.h \
	core/sandbox/link.c core/sandbox/link.h \
	core/sandbox/mounts.c core/sandbox/mounts.h \
	core/sandbox/names.c core/sandbox/names.h \
	core/sandbox/net-option.c core/sandbox/net-option.h \
	core/sandbox/network.c core/sandbox/network.h \
	core/sandbox/share.c core/sandbox/share.h \
	core/sandbox/sandbox-machine.c core/sandbox/sandbox-plan.c core/sandbox/sandbox-spawn.c core/sandbox/sandbox.h \
	core/sandbox/why.c core/sandbox/why.h \
	plugins/console/descriptor.c plugins/console/descriptor.h

dist_check_SCRIPTS += tests/unit/image.sh
TESTS += tests/unit/image.sh
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/image_test
TESTS += tests/unit/image_test
endif
tests_unit_image_test_SOURCES = tests/unit/image_test.c
tests_unit_image_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_image_test_LDADD = core/sandbox/libsandbox.a core/boot/libboot.a core/machine/libmachine.a $(UNIT_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/client_test tests/unit/client_hostile_test
TESTS += tests/unit/client_test tests/unit/client_hostile_test
endif
CLIENT_TEST_WITH = core/sandbox/libsandbox.a agent/libagentshared.a core/machine/libmachine.a $(UNIT_LIBS)
tests_unit_client_test_SOURCES = tests/unit/client_test.c tests/unit/client_agent.c tests/unit/client_agent.h
tests_unit_client_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_client_test_LDADD = $(CLIENT_TEST_WITH)
tests_unit_client_hostile_test_SOURCES = tests/unit/client_hostile_test.c tests/unit/client_agent.c tests/unit/client_agent.h
tests_unit_client_hostile_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_client_hostile_test_LDADD = $(CLIENT_TEST_WITH)

# --share, --root, --net and --cluster: the words, and the mounts that the agent is asked for.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/share_test tests/unit/link_test tests/unit/names_test tests/unit/net_option_test tests/unit/cluster_option_test
TESTS += tests/unit/share_test tests/unit/link_test tests/unit/names_test tests/unit/net_option_test tests/unit/cluster_option_test
endif
SHARE_TEST_WITH = core/sandbox/libsandbox.a agent/libagentshared.a core/config/libconfig.a core/machine/libmachine.a \
	$(UNIT_LIBS) $(CONFIG_LIBS)
tests_unit_share_test_SOURCES = tests/unit/share_test.c
tests_unit_share_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_share_test_LDADD = $(SHARE_TEST_WITH)
tests_unit_net_option_test_SOURCES = tests/unit/net_option_test.c
tests_unit_net_option_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_option_test_LDADD = $(SHARE_TEST_WITH)
tests_unit_names_test_SOURCES = tests/unit/names_test.c
tests_unit_names_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_names_test_LDADD = core/sandbox/libsandbox.a $(UNIT_LIBS)
tests_unit_cluster_option_test_SOURCES = tests/unit/cluster_option_test.c
tests_unit_cluster_option_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cluster_option_test_LDADD = $(SHARE_TEST_WITH)
tests_unit_link_test_SOURCES = tests/unit/link_test.c tests/unit/client_agent.c tests/unit/client_agent.h
tests_unit_link_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_link_test_LDADD = $(SHARE_TEST_WITH)

# The verbs exec and cp as users meet them, against an agent of this host.
dist_check_SCRIPTS += tests/unit/exec-verb.sh
TESTS += tests/unit/exec-verb.sh
EXTRA_DIST += tests/unit/hostile-agent.py
# run and start, however they end.
dist_check_SCRIPTS += tests/unit/run-verb.sh
TESTS += tests/unit/run-verb.sh
