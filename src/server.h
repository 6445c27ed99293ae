/*
 * A server on an ADDRESS, whatever its transport: a listener for streams, a shared socket for
 * datagrams. It brings arrivals, up to a number of connections at the same time; who comes beyond
 * that waits in the backlog (streams) or is not heard (datagrams).
 */
#ifndef MUXCAT_SERVER_H
#define MUXCAT_SERVER_H

#include "connection.h"
#include "list.h"
#include "listener.h"

struct server;

/* One of those that were accepted by one server and go to another. */
struct dealt;

/* Somebody has come: the receiver calls server_take or server_refuse, once. */
typedef void server_arrived(struct server *server, const struct transport *arrival);

/* Somebody's handshake has failed, and why. */
typedef void server_rejected(struct server *server, const struct os_address *peer, const char *why);

/* Accepting has to wait for want of descriptors or memory; it goes on by itself. */
typedef void server_troubled(struct server *server, int error);

struct server {
	void *owner;
	server_arrived *arrived;
	server_troubled *troubled;
	server_rejected *rejected;
	struct tls_context *tls; /* every client has to begin it; NULL: none */
	size_t max;              /* connections at the same time, 0 any number */
	size_t count;            /* connections taken and not left, and handshakes under way */
	/* ---- */
	struct mux *mux;
	enum address_scheme scheme;
	struct listener listener;
	struct list_link *handshakes;
	struct datagram_server datagrams;
	bool is_datagram;
	bool stopped;
	struct server *dealer;     /* that accepts for this one, too; or NULL */
	struct server *next;       /* of those that take turns with a dealer */
	struct server *turn;       /* a dealer's: whose it is */
	_Atomic(size_t) gone;      /* a dealer's: those dealt out that have left since */
	struct mux_task some_gone; /* tells the dealer's loop */
};

/*
 * Bind, and begin to accept. The caller has zeroed the memory and set the first fields. Blocks for
 * the look-up. 0, or see resolve_error.
 */
int server_open(struct server *server, struct mux *mux, const struct address *address,
	const struct socket_options *options);

/*
 * A stream server for another loop, `mux`, on the same address as `first`, before either loop runs: with
 * listeners of its own on the same port if `shares_port`, for which `first` was opened so; else `first`
 * accepts and deals out its clients in turn. `max` is the first's, and for all together if it deals.
 */
int server_open_beside(struct server *server, struct mux *mux, struct server *first,
	const struct socket_options *options, bool shares_port);

/* The addresses it is bound to: NULL when there are no more. */
const struct os_address *server_bound(const struct server *server, size_t index);

/* Make the arrival a connection, in the caller's memory; server_leave when it has been closed. */
int server_take(
	struct server *server, const struct transport *arrival, struct connection *connection);
void server_refuse(struct server *server, const struct transport *arrival);
void server_leave(struct server *server);

/* Take no more arrivals. A stream server's sockets are closed, a Unix socket's file is removed. */
void server_stop(struct server *server);

/* The connections are closed: close what is left, so that the loop can end. */
void server_close(struct server *server);

#endif
