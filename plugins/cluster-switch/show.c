/* SPDX-License-Identifier: MIT */
/*
 * show.c - what `capsa cluster show` is told, as JSON (protocol.h: SHOW). Called by serve-talk.c.
 *
 * Written by hand, as the few lines that it is: the switch is a fork of its member, and loads no library.
 */
#include <stdlib.h>
#include <unistd.h>

#include "plugins/cluster-switch/serve-private.h"

/* A JSON string (RFC 8259, 7). Bytes above ASCII, which no name has, are shown as they would be in Latin-1. */
static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 0x20 || *p >= 0x7f)
			fprintf(out, "\\u%04x", *p);
		else
			fputc(*p, out);
	}
	fputc('"', out);
}

static void put_prefix(FILE *out, const char *key, const struct net_prefix *prefix)
{
	char text[NET_PREFIX_TEXT];

	fprintf(out, ",\"%s\":", key);
	if (prefix->bits > 0)
		put_string(out, net_prefix_text(prefix, text));
	else
		fputs("null", out);
}

static void put_address(FILE *out, const char *key, const struct in6_addr *address)
{
	char text[NET_ADDRESS_TEXT];

	fprintf(out, ",\"%s\":", key);
	if (IN6_IS_ADDR_UNSPECIFIED(address))
		fputs("null", out);
	else
		put_string(out, net_address_text(address, text));
}

static void put_mac(FILE *out, const unsigned char mac[ETH_ALEN])
{
	fprintf(out, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void put_number(FILE *out, const char *key, uint64_t value)
{
	fprintf(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void put_counters(FILE *out, const struct bridge_counters *c)
{
	put_number(out, "rx_packets", c->rx_packets);
	put_number(out, "rx_bytes", c->rx_bytes);
	put_number(out, "tx_packets", c->tx_packets);
	put_number(out, "tx_bytes", c->tx_bytes);
	put_number(out, "malformed", c->malformed);
	put_number(out, "spoofed", c->spoofed);
	put_number(out, "rate_dropped", c->rate_dropped);
	put_number(out, "peers_dropped", c->peers_dropped);
	put_number(out, "full_dropped", c->full_dropped);
}

static void put_member(FILE *out, const struct peer *peer)
{
	const struct bridge_port_options *options = bridge_port_options(peer->port);

	fputs("{\"name\":", out);
	put_string(out, options->name);
	put_number(out, "pid", (uint64_t)peer->pid);
	fputs(",\"mac\":", out);
	put_mac(out, options->mac);
	put_address(out, "address", &peer->address);
	put_address(out, "address6", &peer->address6);
	put_number(out, "rate", options->rate);
	put_counters(out, bridge_port_counters(peer->port));
	fputc('}', out);
}

struct list {
	FILE *out;
	bool has_one;
};

/* The uplink's port, which is no member's. */
static void put_uplink_port(void *ctx, const struct bridge_port *port)
{
	if (bridge_port_options(port)->uplink)
		put_counters(ctx, bridge_port_counters(port));
}

static void put_uplink(FILE *out, const struct serve *serve)
{
	const struct vxlan_counters *c;

	fputs(",\"uplink\":", out);
	if (!serve->vxlan) {
		fputs("null", out);
		return;
	}
	c = vxlan_counters(serve->vxlan);
	fputs("{\"to\":", out);
	put_string(out, serve->uplink);
	put_number(out, "sent", c->sent);
	put_number(out, "received", c->received);
	put_number(out, "foreign", c->foreign);
	put_number(out, "undecodable", c->malformed);
	put_number(out, "send_failed", c->send_failed);
	bridge_each_port(serve->bridge, put_uplink_port, out);
	fputc('}', out);
}

static void put_learned(void *ctx, const unsigned char mac[ETH_ALEN], const struct bridge_port *port, uint64_t age_ms)
{
	struct list *list = ctx;

	fputs(list->has_one ? ",{\"mac\":" : "{\"mac\":", list->out);
	list->has_one = true;
	put_mac(list->out, mac);
	fputs(",\"port\":", list->out);
	put_string(list->out, bridge_port_options(port)->name);
	put_number(list->out, "age_ms", age_ms);
	fputc('}', list->out);
}

char *serve_show(struct serve *serve, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	struct list macs = { .out = out };
	const struct peer *peer;
	bool failed;

	*len = 0;
	if (!out)
		return NULL;
	fputs("{\"name\":", out);
	put_string(out, serve->cluster);
	put_number(out, "pid", (uint64_t)getpid());
	put_prefix(out, "subnet", &serve->subnet);
	put_prefix(out, "subnet6", &serve->subnet6);
	put_uplink(out, serve);
	fputs(",\"members\":[", out);
	TAILQ_FOREACH(peer, &serve->members, link)
	{
		if (peer != TAILQ_FIRST(&serve->members))
			fputc(',', out);
		put_member(out, peer);
	}
	fputs("],\"macs\":[", out);
	bridge_each_mac(serve->bridge, serve->now_ms, put_learned, &macs);
	fputs("]}\n", out);
	failed = ferror(out);
	if (fclose(out) != 0 || failed) {
		free(text);
		*len = 0;
		return NULL;
	}
	return text;
}
