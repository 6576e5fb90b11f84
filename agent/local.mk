# SPDX-License-Identifier: MIT
# The guest's init and agent. One static program, without debug information: it lies in every guest's memory.
pkglibexec_PROGRAMS = agent/capsa-agent
AGENT_SOURCES = \
	agent/buffer.c agent/buffer.h \
	agent/channel.c agent/channel.h \
	agent/command.c agent/command.h \
	agent/connection.c agent/connection.h \
	agent/exec-child.c agent/exec-child.h \
	agent/exec.c \
	agent/files.c \
	agent/folder.c agent/folder.h \
	agent/info.c \
	agent/init.c agent/init.h \
	agent/list.h \
	agent/listing.c \
	agent/log.c agent/log.h \
	agent/loop.c agent/loop.h \
	agent/machine.c \
	agent/modules.c agent/modules.h \
	agent/mounts.c agent/mounts.h \
	agent/overlay.c agent/overlay.h \
	agent/network-files.c agent/network-files.h \
	agent/network.c agent/network.h \
	agent/remove.c \
	agent/request.c agent/request.h \
	agent/root.c agent/root.h \
	agent/server.c agent/server.h \
	agent/shutdown.c agent/shutdown.h \
	agent/stream.c agent/stream.h \
	agent/terminal.c agent/terminal.h \
	agent/text-file.c agent/text-file.h \
	agent/tree-request.c \
	agent/users.c agent/users.h \
	agent/words.c agent/words.h
agent_capsa_agent_SOURCES = agent/main.c $(AGENT_SOURCES)
agent_capsa_agent_LDADD = agent/libagentshared.a
if SANITIZERS
agent_capsa_agent_CFLAGS = $(AM_CFLAGS)
else
# -all-static is libtool's word for -static.
agent_capsa_agent_CFLAGS = $(AM_CFLAGS) -Os -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
agent_capsa_agent_LDFLAGS = $(AM_LDFLAGS) -all-static -Wl,--gc-sections -Wl,-s
endif

# What a client sees, natively on a UNIX socket.
dist_check_SCRIPTS += tests/unit/agent.sh
TESTS += tests/unit/agent.sh
EXTRA_DIST += tests/unit/agent.py tests/unit/agent_case.py tests/unit/agent_client.py tests/unit/agent_exec.py \
	tests/unit/agent_files.py tests/unit/agent_mounts.py tests/unit/agent_network.py tests/unit/agent_rules.py tests/unit/agent_terminals.py
if HAVE_CMOCKA
AGENT_TESTS = tests/unit/protocol_test tests/unit/users_test
check_PROGRAMS += $(AGENT_TESTS)
TESTS += $(AGENT_TESTS)
endif
tests_unit_protocol_test_SOURCES = tests/unit/protocol_test.c
tests_unit_protocol_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_protocol_test_LDADD = agent/libagentshared.a $(UNIT_LIBS)
tests_unit_users_test_SOURCES = tests/unit/users_test.c agent/users.c agent/text-file.c agent/buffer.c
tests_unit_users_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_users_test_LDADD = $(UNIT_LIBS)
