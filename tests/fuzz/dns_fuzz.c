/* SPDX-License-Identifier: MIT */
/*
 * dns_fuzz.c - dns-message.h: what the guest asks, what the forwarder makes of it, and what an upstream answers.
 *
 * The first two bytes of an input say where the question ends and the answer begins.
 */
#include <arpa/nameser.h>
#include <string.h>

#include "plugins/net-nat/dns-message.h"
#include "plugins/net-nat/names.h"
#include "tests/fuzz/fuzz.h"

const unsigned fuzz_runs = 1000000;

static const char address_question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\1\3wWw\7example\4test\0\0\1\0\1"
				       "\0\0\x29\x04\xd0\0\0\x80\0\0\0";
static const char chain_answer[] = "\x12\x34\x81\x80\0\1\0\3\0\0\0\0\3www\7example\4test\0\0\1\0\1"
				   "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1a\xc0\x10"
				   "\xc0\x2e\0\5\0\1\0\0\0\x1e\0\4\1b\xc0\x10"
				   "\xc0\x3e\0\1\0\1\0\0\0\x5a\0\4\xc6\x33\x64\7";
static const char odd_question[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4a$.\1\4evil\4test\0\0\x1c\0\1";
static const char ipv6_answer[] = "\0\1\x81\x80\0\1\0\1\0\0\0\0\1x\4test\0\0\x1c\0\1"
				  "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1";

#define TEXT(array) (const uint8_t *)(array), sizeof(array) - 1

static size_t put_pair(uint8_t *data, const uint8_t *question, size_t question_len, const uint8_t *answer,
                       size_t answer_len)
{
	data[0] = (uint8_t)(question_len >> 8);
	data[1] = (uint8_t)question_len;
	memcpy(data + 2, question, question_len);
	memcpy(data + 2 + question_len, answer, answer_len);
	return 2 + question_len + answer_len;
}

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	switch (n) {
	case 0:
		return put_pair(data, TEXT(address_question), TEXT(chain_answer));
	case 1:
		return put_pair(data, TEXT(odd_question), TEXT(ipv6_answer));
	default:
		return 0;
	}
}

static void each(void *ctx, const struct in6_addr *address, uint32_t ttl)
{
	unsigned *n = ctx;

	(void)address;
	(void)ttl;
	(*n)++;
}

static void check_reply(const uint8_t *message, const struct dns_question *question, int code)
{
	unsigned char reply[DNS_HEADER + 255 + 4 + DNS_OPT];
	size_t len = dns_message_refuse(message, question, code, reply);

	fuzz_check(len >= DNS_HEADER && len + DNS_OPT <= sizeof reply);
	fuzz_check(dns_message_code(reply) == (code & 0xf));
	len = dns_message_add_opt(reply, len, question);
	fuzz_check(len <= sizeof reply);
	fuzz_check(dns_message_question(reply, len, &(struct dns_question){ .id = 0 }) < 0); /* no loops */
}

/* What is judged must be a name that rules can be asked about. */
static void check_names(const struct dns_question *question)
{
	char normal[DNS_NAME_MAX];

	fuzz_check(strnlen(question->name, sizeof question->name) < sizeof question->name);
	fuzz_check(strnlen(question->likeness, sizeof question->likeness) < sizeof question->likeness);
	if (question->named)
		fuzz_check(names_normal(question->name, normal, sizeof normal) == 0 &&
		           strcmp(normal, question->name) == 0 && strcmp(normal, question->likeness) == 0);
	for (const char *c = question->likeness; *c; c++)
		fuzz_check(*c > ' ' && *c <= '~' && *c != '\\');
}

static void take_answer(const uint8_t *data, size_t len, const uint8_t *question_message,
                        const struct dns_question *question)
{
	unsigned char *answer = malloc(len + DNS_OPT);
	unsigned n = 0;
	size_t cut;

	fuzz_check(answer);
	memcpy(answer, data, len);
	if (question->named)
		dns_message_addresses(answer, len, question->name, each, &n);
	if (dns_message_answers(answer, len, question_message, question->end)) {
		cut = dns_message_truncate(answer, len, question->end);
		fuzz_check(cut == question->end && dns_message_is_truncated(answer));
		fuzz_check(dns_message_add_opt(answer, cut, question) <= len + DNS_OPT);
	}
	free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dns_question question;
	size_t question_len;
	uint8_t *message;
	int code;

	if (len < 2)
		return 0;
	question_len = (size_t)(data[0] << 8 | data[1]);
	data += 2;
	len -= 2;
	if (question_len > len)
		question_len = len;
	message = malloc(question_len ? question_len : 1); /* exactly as long */
	fuzz_check(message);
	memcpy(message, data, question_len);
	code = dns_message_question(message, question_len, &question);
	fuzz_check(question.end <= question_len || question.end == DNS_HEADER);
	if (code >= 0)
		check_reply(message, &question, code);
	if (code == 0) {
		check_names(&question);
		check_reply(message, &question, ns_r_refused);
		take_answer(data + question_len, len - question_len, message, &question);
	}
	free(message);
	return 0;
}
