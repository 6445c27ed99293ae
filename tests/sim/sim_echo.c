/*
 * muxcat echo, the whole command: clients come, talk, fall silent, take nothing and reset; it is stopped
 * at any moment. Each is sent what it has sent, in order, and an end only behind all of it.
 */
#include "sim.h"

#include "cmd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { CLIENTS = 6 };

struct client {
	struct sim_socket *socket;
	bool taken;      /* by the command; else it is in the backlog still */
	const char *why; /* it was closed; NULL: it was not */
};

static struct options options;
static struct client clients[CLIENTS];
static size_t accepted;
static bool somebody_came;
static bool flawless;

static void sent(struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n)
{
	const struct client *client = socket->owner;

	if (client->why)
		sim_fail("a send after the end");
	if (options.discard || position + n > socket->received)
		sim_fail("more than was received");
	sim_expect(socket->source, position, data, n);
}

static void came(struct sim_socket *socket)
{
	struct client *client = &clients[accepted];
	uint64_t most = 300 * (uint64_t)(socket->sends_at_most < socket->takes_at_most
						 ? socket->sends_at_most
						 : socket->takes_at_most);
	client->socket = socket;
	socket->owner = client;
	socket->sent = sent;
	socket->source = accepted++;
	socket->to_send = sim_one_in(8) ? 0 : sim_some(200 * 1000);
	if (socket->to_send > most) /* no more pieces than a run has time for */
		socket->to_send = most;
	socket->sends_end = !sim_one_in(8);
	socket->deaf = sim_one_in(10);
}

static size_t taken(void)
{
	size_t count = 0;

	for (size_t i = 0; i < accepted; i++)
		count += clients[i].taken && clients[i].socket->open;
	return count;
}

static void take(const struct connection *connection)
{
	struct client *client = sim_socket(connection->peer.u.v4.sin_port)->owner;

	client->taken = somebody_came = true;
	if (options.max_conns && taken() > options.max_conns)
		sim_fail("more clients than it may have");
}

static void closed(const struct connection *connection, const char *why)
{
	struct client *client = sim_socket(connection->peer.u.v4.sin_port)->owner;
	const struct sim_socket *socket = client->socket;
	bool holds;

	if (client->why)
		sim_fail("closed twice");
	client->why = why;
	if (strcmp(why, "end of file") == 0)
		holds = socket->end_arrived || socket->reset;
	else if (strcmp(why, "idle") == 0)
		holds = sim_is_idle(socket, options.idle_timeout);
	else if (strcmp(why, "stopped") == 0)
		holds = sim_process.signalled_at != UINT64_MAX;
	else
		holds = sim_was_told(socket, why);
	if (!holds)
		sim_fail("closed, and it was not so: %s", why);
}

/* Nobody acts any more: only who says nothing and is never idle for too long is still there. */
static void rest(void)
{
	size_t waiting = sim_waiting();

	for (size_t i = 0; i < accepted; i++) {
		const struct sim_socket *socket = clients[i].socket;

		waiting += socket->open && !clients[i].taken;
		if (socket->open && clients[i].taken &&
			(options.idle_timeout || (!socket->deaf && socket->sends_end)))
			sim_fail("a client is not served to its end");
		if (!socket->open && !clients[i].why && !sim_faults.memory)
			sim_fail("closed, and nobody was told");
	}
	if (waiting && (!options.max_conns || taken() < options.max_conns))
		sim_fail("a client is not accepted");
}

/* An end that is none of a reset says that all has come. */
static void check(const struct client *client)
{
	const struct sim_socket *socket = client->socket;
	bool whole = client->why && strcmp(client->why, "end of file") == 0;

	if (flawless && whole && socket->lost)
		sim_fail("reset, and it has ended well");
	if (socket->reset || socket->lost)
		return;
	if (whole && socket->received_at_end != socket->to_send)
		sim_fail("it was not received from to its end");
	if (socket->written != (options.discard ? 0 : socket->received_at_end))
		sim_fail("an end, and not all has been sent back");
	if (!socket->deaf && (socket->taken != socket->written || !socket->end_taken))
		sim_fail("what was sent has not come, or not the end");
}

void sim_echo(void)
{
	bool memory = sim_faults.memory;

	flawless = !sim_faults.reset && !sim_faults.transfer && !memory;
	memset(clients, 0, sizeof(clients));
	accepted = 0;
	somebody_came = false;
	options = (struct options){
		.backend = sim_backend,
		.edge = sim_edge,
		.address = { .scheme = ADDRESS_UNIX, .path = "@echo" },
		.threads = 1,
		.discard = sim_one_in(8),
		.idle_timeout = sim_one_in(2) ? 1 + sim_some(10 * 1000) : 0,
		.timeout = sim_one_in(8) ? 1 + sim_some(1000) : 0,
		.max_conns = sim_one_in(4) ? (size_t)sim_some(3) : 0,
	};
	sim_expect_clients(1 + (unsigned)sim_below(CLIENTS), came);
	sim_process.rest = rest;
	sim_process.accepted = take;
	sim_process.closed = closed;
	sim_process.signal_at = sim_one_in(2) ? UINT64_MAX : sim_now + sim_some(5000);
	sim_run(cmd_echo, &options);
	for (size_t i = 0; i < accepted; i++)
		check(&clients[i]);
	if (sim_process.signalled_at == UINT64_MAX && !memory &&
		(sim_process.status != CMD_TIMED_OUT || somebody_came))
		sim_fail("it ended by itself, with status %d", sim_process.status);
}
