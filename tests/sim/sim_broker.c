/*
 * muxcat fanout --broker and --chat, the whole command: subscribers that publish, too. Each gets what
 * every other one sends, in its order, and nothing of its own; by --chat whole lines behind their
 * sender's name, of which --slow=drop leaves out whole ones and counts them.
 */
#include "sim.h"

#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 6, TEXT = 20 * 1000, SHORTEST = 16, LONGEST = 2500, LINES = TEXT / SHORTEST + 1 };

/* A raw byte tells in its upper bits who has sent it. */
enum { SENDER_SHIFT = 5, LOWER_BITS = (1 << SENDER_SHIFT) - 1 };

struct client {
	struct sim_socket *socket;
	const char *why; /* it was closed; NULL: it was not */
	bool late;       /* it came when some had been published already */
	unsigned char text[TEXT];
	size_t begins[LINES + 1]; /* of its lines, and where the last one ends */
	size_t lines;
	size_t name; /* by which the others know it; 0: not known yet */

	char line[LONGEST + 64]; /* that it is sent */
	size_t length;
	size_t seen[CLIENTS]; /* lines (raw: bytes) of each, or those behind the last that came */
	size_t records;
};

static struct options options;
static struct client clients[CLIENTS];
static size_t accepted;
static uint64_t talk_at; /* when the first begins to send */
static bool rested;
static bool flawless;

/* ---- what they send ---- */

static void write_lines(struct client *client, size_t length)
{
	size_t who = (size_t)(client - clients);
	size_t filled = 0;

	for (client->lines = 0; length - filled >= SHORTEST; client->lines++) {
		size_t n = SHORTEST + (size_t)sim_some(LONGEST - 2 * SHORTEST);
		unsigned char *line = client->text + filled;

		if (length - filled < n + SHORTEST)
			n = length - filled < LONGEST ? length - filled : SHORTEST;
		sim_bytes(who, filled, line, n);
		for (size_t i = 0; i < n; i++)
			line[i] = (unsigned char)('a' + line[i] % 16);
		snprintf((char *)line, SHORTEST, "%zu %06zx", who, client->lines);
		line[8] = ' ';
		line[n - 1] = '\n';
		client->begins[client->lines] = filled;
		filled += n;
	}
	client->begins[client->lines] = filled;
	client->socket->to_send = filled;
}

static void write_bytes(struct client *client, size_t length)
{
	size_t who = (size_t)(client - clients);

	sim_bytes(who, 0, client->text, length);
	for (size_t i = 0; i < length; i++)
		client->text[i] =
			(unsigned char)((who + 1) << SENDER_SHIFT | (client->text[i] & LOWER_BITS));
	client->socket->to_send = length;
}

/* What of it the program has taken to publish: whole lines, or bytes. */
static size_t published(const struct client *client)
{
	size_t lines = 0;

	if (!options.chat)
		return (size_t)client->socket->received;
	while (lines < client->lines && client->begins[lines + 1] <= client->socket->received)
		lines++;
	return lines;
}

/* ---- what they are sent ---- */

static void take_line(struct client *client)
{
	size_t name;
	size_t who;
	size_t number;
	int prefix = 0;

	client->line[client->length] = '\0';
	if (sscanf(client->line, "<user%zu> %n%1zu %6zx", &name, &prefix, &who, &number) != 3 ||
		who >= accepted)
		sim_fail("not a line: %.40s", client->line);

	struct client *from = &clients[who];

	if (from == client)
		sim_fail("it hears itself");
	if (from->name && from->name != name)
		sim_fail("sender %zu has two names", who);
	from->name = name;
	if (number >= from->lines || number < client->seen[who])
		sim_fail("a line again, or none");
	if (number > client->seen[who] && options.hub.slow != HUB_DROP && !client->late)
		sim_fail("lines are missing");

	size_t begin = from->begins[number];
	size_t length = from->begins[number + 1] - begin;

	if (client->length - (size_t)prefix != length ||
		memcmp(client->line + prefix, from->text + begin, length) != 0)
		sim_fail("a line that was not sent so: %.40s", client->line);
	client->seen[who] = number + 1;
	client->records++;
	client->length = 0;
}

static void take_byte(struct client *client, unsigned char byte)
{
	size_t who = (size_t)(byte >> SENDER_SHIFT) - 1;

	if (who >= accepted)
		sim_fail("a byte that nobody has sent");
	if (&clients[who] == client)
		sim_fail("it hears itself");
	if (!client->late && (client->seen[who] >= clients[who].socket->received ||
				     clients[who].text[client->seen[who]] != byte))
		sim_fail("a wrong byte of %zu, at %zu", who, client->seen[who]);
	client->seen[who]++;
}

static void sent(struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n)
{
	struct client *client = socket->owner;

	(void)position;
	if (sim_faults.memory)
		return; /* what is lost for want of it is reported */
	for (size_t i = 0; i < n; i++) {
		if (!options.chat) {
			take_byte(client, data[i]);
			continue;
		}
		if (client->length == sizeof(client->line) - 1)
			sim_fail("a line of nobody's length");
		client->line[client->length++] = (char)data[i];
		if (data[i] == '\n')
			take_line(client);
	}
}

/* ---- coming and going ---- */

static void came(struct sim_socket *socket)
{
	struct client *client = &clients[accepted++];
	size_t length = sim_one_in(8) ? 0 : (size_t)sim_some(TEXT);

	client->socket = socket;
	client->late = sim_now >= talk_at;
	socket->owner = client;
	socket->sent = sent;
	socket->text = client->text;
	if (options.chat)
		write_lines(client, length);
	else
		write_bytes(client, length);
	socket->sends_end = sim_one_in(2);
	socket->deaf = sim_one_in(10);
	socket->sends_at_most += TEXT / 100; /* no more pieces than a run has time for */
	socket->takes_at_most += TEXT / 20;
	if (!client->late)
		socket->acts_at = talk_at;
}

/* Of all that the others have published, it has had each record, or was told how many not. */
static void check_complete(const struct client *client)
{
	size_t due = 0;

	for (size_t i = 0; i < accepted; i++) {
		if (&clients[i] == client)
			continue;
		due += published(&clients[i]);
		if (options.hub.slow != HUB_DROP && client->seen[i] != published(&clients[i]))
			sim_fail("%zu of the %zu of %zu have come", client->seen[i],
				published(&clients[i]), i);
	}
	if (options.hub.slow == HUB_DROP && client->records + sim_process.dropped != due)
		sim_fail("%zu records and %llu dropped, of %zu", client->records,
			(unsigned long long)sim_process.dropped, due);
}

/* It has had all that it was due, and its end. */
static bool is_end(const char *why)
{
	return strcmp(why, "end of file") == 0 || strcmp(why, "stopped") == 0;
}

static void closed(const struct connection *connection, const char *why)
{
	struct client *client = sim_socket(connection->peer.u.v4.sin_port)->owner;
	bool stopped = sim_process.signalled_at != UINT64_MAX;
	bool holds;

	if (client->why)
		sim_fail("closed twice");
	client->why = why;
	if (strcmp(why, "end of file") == 0)
		holds = client->socket->reset;
	else if (strcmp(why, "stopped") == 0)
		holds = stopped;
	else if (strcmp(why, "idle") == 0)
		holds = sim_is_idle(client->socket, options.idle_timeout);
	else if (strcmp(why, "too slow") == 0)
		holds = options.hub.slow != HUB_DROP || stopped;
	else
		holds = sim_was_told(client->socket, why);
	if (!holds)
		sim_fail("closed, and it was not so: %s", why);
	if (is_end(why) && rested && !client->late && !sim_faults.memory && !client->socket->reset)
		check_complete(client);
}

/* Nobody acts any more: all that could come has come. */
static void rest(void)
{
	bool anybody_takes = false;

	for (size_t i = 0; i < accepted; i++)
		anybody_takes |= clients[i].socket->open && !clients[i].socket->deaf;
	for (size_t i = 0; i < accepted; i++) {
		const struct client *client = &clients[i];
		const struct sim_socket *socket = client->socket;

		if (!socket->open && !client->why && !sim_faults.memory)
			sim_fail("closed, and nobody was told");
		if (!socket->open || !anybody_takes)
			continue;
		if (options.idle_timeout)
			sim_fail("idle for long, and still there");
		if (socket->received < socket->arrived)
			sim_fail("nobody is held up, and it is not received from");
		if (!socket->deaf && !client->late && !sim_faults.memory &&
			options.hub.slow != HUB_DROP)
			check_complete(client);
	}
	if (sim_waiting())
		sim_fail("a client is not accepted");
	rested = true;
}

/* Whoever has an end that is no reset has had the same as the others. */
static void check_same(const struct client *one, const struct client *other)
{
	for (size_t i = 0; i < accepted; i++)
		if (&clients[i] != one && &clients[i] != other && one->seen[i] != other->seen[i])
			sim_fail("an end, and not all that another has had");
}

static bool has_ended_well(const struct client *client)
{
	const struct sim_socket *socket = client->socket;

	return client->why && is_end(client->why) && !socket->lost && !socket->reset &&
	       !client->late;
}

static void check_all(void)
{
	const struct client *one = NULL;

	for (size_t i = 0; i < accepted; i++) {
		const struct sim_socket *socket = clients[i].socket;

		if (flawless && clients[i].why && is_end(clients[i].why) && socket->lost &&
			socket->arrived == socket->received)
			sim_fail("reset, and it has ended well");
		if (!has_ended_well(&clients[i]))
			continue;
		if (!socket->deaf && (socket->taken != socket->written || !socket->end_taken))
			sim_fail("what was sent has not come, or not the end");
		if (one && options.hub.slow != HUB_DROP)
			check_same(one, &clients[i]);
		one = &clients[i];
	}
}

void sim_broker(void)
{
	bool memory = sim_faults.memory;
	bool chat = sim_one_in(2);

	memset(clients, 0, sizeof(clients));
	accepted = 0;
	rested = false;
	flawless = !sim_faults.reset && !sim_faults.transfer && !memory;
	talk_at = sim_now + 1500 + sim_below(3000);
	options = (struct options){
		.backend = sim_backend,
		.edge = sim_edge,
		.address = { .scheme = ADDRESS_UNIX, .path = "@broker" },
		.threads = 1,
		.broker = true,
		.chat = chat,
		.idle_timeout = sim_one_in(4) ? 1 + sim_some(10 * 1000) : 0,
	};
	options.hub.slow = chat            ? (enum hub_slow)sim_below(3)
			   : sim_one_in(2) ? HUB_WAIT
					   : HUB_CLOSE;
	options.hub.queue = LONGEST + 64 + sim_some(20 * 1000); /* or a line would not be one */
	options.hub.stall = 500 + sim_some(20 * 1000);
	options.hub.replay = sim_one_in(2) ? sim_some(20 * 1000) : 0;
	sim_expect_clients(2 + (unsigned)sim_below(CLIENTS - 1), came);
	sim_process.rest = rest;
	sim_process.closed = closed;
	sim_process.signal_at = sim_one_in(2) ? UINT64_MAX : sim_now + sim_some(10 * 1000);
	sim_run(cmd_fanout, &options);
	if (!memory)
		check_all();
	if (sim_process.signalled_at == UINT64_MAX && !memory)
		sim_fail("it ended by itself, with status %d", sim_process.status);
}
