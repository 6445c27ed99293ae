/*
 * An ordered stream of bytes (or, over datagrams, of datagrams), whatever is under it: a socket,
 * the stdin/stdout pair, one peer of a datagram server. What is above (relay, hub, the commands)
 * knows only this.
 *
 * A stream reads and writes independently: one receive and one send at most are outstanding, and
 * each gets one callback, from the loop and never from inside the call. Streams live in the
 * caller's memory until stream_closed.
 */
#ifndef MUXCAT_STREAM_H
#define MUXCAT_STREAM_H

#include "mux.h"

struct stream;

/*
 * The input has ended without the sign that it was complete (TLS's close_notify), as when somebody
 * else has ended it. Unlike any other error of a receive it leaves the output as it was.
 */
enum { STREAM_TRUNCATED = -20001 };

/*
 * n > 0: `data` holds n bytes in `buf`, lent as in mux_recv. n < 0: an error. 0: the end, or on a
 * datagram stream an empty datagram (there is no end).
 */
typedef void stream_received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);
typedef void stream_sent(struct stream *stream, ssize_t result);
typedef void stream_closed(struct stream *stream);
typedef void stream_idle(struct stream *stream);
typedef void stream_gone(struct stream *stream);

/*
 * What is under a stream provides: each as the stream_ function of its name. `unsent` is the bytes
 * that the peer has not acknowledged, `heard` those that have come of it, whatever they are (NULL: those
 * that were received), `socket` the one below; it, is_gone and error may be NULL. What comes of recv and
 * send goes to stream_report_*.
 */
struct stream_kind {
	void (*recv)(struct stream *stream);
	void (*send)(struct stream *stream, struct mux_buf *buf, const unsigned char *data,
		size_t length);
	bool (*send_now)(struct stream *stream, struct mux_buf *buf, const unsigned char *data,
		size_t length); /* NULL: it cannot */
	void (*stop_recv)(struct stream *stream);
	void (*shutdown)(struct stream *stream);
	void (*close)(struct stream *stream);
	uint64_t (*moved_at)(const struct stream *stream);
	size_t (*sending)(const struct stream *stream);
	size_t (*unsent)(const struct stream *stream);
	uint64_t (*heard)(const struct stream *stream);
	bool (*is_gone)(const struct stream *stream);
	mux_fd (*socket)(const struct stream *stream);
	const char *(*error)(const struct stream *stream, int error);
	void (*recv_in_bulk)(struct stream *stream); /* NULL: no difference */
	void (*send_in_bulk)(struct stream *stream);
	bool only_sends; /* nobody but mux_send looks at what is sent */
};

void stream_report_received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);
void stream_report_sent(struct stream *stream, size_t moved, ssize_t result);

/* What is read from a stream is cut into datagrams of this size at most, as nc does it. */
enum { STREAM_DATAGRAM_PIECE = 16 * 1024 };

struct stream {
	struct mux *mux;
	void *holder; /* what this stream was made for: the connection's */
	stream_closed *closed;
	stream_idle *idle;
	stream_gone *gone;
	struct mux_timer timer; /* for the idle timeout, or to see if the peer is gone; to linger */
	uint64_t idle_after;
	uint64_t linger_until;
	uint64_t linger_heard; /* before it */
	/* ---- looked at for each byte ---- */
	const struct stream_kind *kind;
	void *owner;
	stream_received *received;
	stream_sent *sent;
	uint64_t bytes_in;
	uint64_t bytes_out;
	bool datagram; /* no end of file, no half-close; sends keep their boundaries */
	bool duplex;   /* one connection both ways, rather than an input and an output */
	bool receiving;
	bool sending;
	bool ended;        /* the end of input has been received */
	bool shut;         /* our end has been sent */
	bool reset;        /* to be closed by a reset */
	bool acknowledged; /* what was sent before a gentle close */
	bool closing;      /* no callback but `closed` comes any more */
	int refused; /* the error that came during stream_close_gently: not all was taken; or 0 */
};

/*
 * A stream over one socket, or over a descriptor to read and another to write. From the stream's last
 * fields to the handle's first lies what each byte looks at, which is little to bring into the cache.
 */
struct handle_stream {
	struct stream stream;
	struct mux_io *out;
	struct mux_op recv_op;
	struct mux_io in;
	struct mux_op send_op;
};

struct stdio_stream {
	struct handle_stream handle;
	struct mux_io output;
	unsigned open; /* handles not closed yet */
};

/*
 * Make a stream of a connected socket. Takes the fd on success; -EMFILE as mux_attach. The memory
 * need not be initialised; `owner` is the caller's to set.
 */
int stream_open_socket(struct mux *mux, struct handle_stream *handle, mux_fd fd, bool datagram);

/* Make a stream of stdin (what is received) and stdout (where sends go). 0 or a negative errno. */
int stream_open_stdio(struct mux *mux, struct stdio_stream *stdio);

void stream_recv(struct stream *stream, stream_received *received);

/*
 * Of many streams, this is sent to next: begins to bring it into the processor's cache, where thousands
 * have no place. Any stream; nothing changes.
 */
void stream_expect(const struct stream *stream);

/* What is received from `from` only goes to `to`: mux_in_bulk, where that may be. */
void stream_recv_for(struct stream *from, struct stream *to);

/* Take back a stream_recv: its callback does not come. */
void stream_stop_recv(struct stream *stream);

/* Send all of `data`, which lies in `buf` and is held until the callback. */
void stream_send(struct stream *stream, struct mux_buf *buf, const unsigned char *data,
	size_t length, stream_sent *sent);

/* As mux_send_now: true, all of it has gone and `sent` will not be called; or as stream_send. */
bool stream_send_now(struct stream *stream, struct mux_buf *buf, const unsigned char *data,
	size_t length, stream_sent *sent);

/*
 * A receive or send that ended with `error` did so for want of memory. The connection is as it was, and the
 * peer may wait for us.
 */
bool stream_failed_here(int error);

/* Bytes of the outstanding send that have gone so far. */
size_t stream_sending(const struct stream *stream);

/* Half-close: send the end (TCP FIN; stdout is closed). No send may be outstanding. */
void stream_shutdown(struct stream *stream);

/* mux_now() when a byte last moved, either way. */
uint64_t stream_moved_at(const struct stream *stream);

/* Call `idle` once nothing has moved, either way, for `after` milliseconds. 0 turns it off. */
void stream_watch_idle(struct stream *stream, uint64_t after, stream_idle *idle);

/*
 * The peer has sent its end, but still receives, or has left: the first cannot be told from the
 * second until something is sent. Look every few seconds, and call `gone` once it is known to have
 * left: within 5 s for a Unix socket, within two minutes for TCP. An idle timeout takes its place.
 */
void stream_watch_gone(struct stream *stream, stream_gone *gone);

/* Close at once; outstanding operations end without a callback. `closed` may be NULL. */
void stream_close(struct stream *stream, stream_closed *closed);

/*
 * Close without losing what was sent. To close a TCP socket while unread input is there or comes
 * resets the connection (RFC 1122, 4.2.2.13) and the peer may lose what it has not read: so
 * half-close, and read and drop until the peer has acknowledged everything, or ends, or `patience`
 * milliseconds have passed. One that goes on talking may not have read it yet, and has a second to end. If
 * the peer answers with an error, stream->refused says so in `closed`.
 */
void stream_close_gently(struct stream *stream, uint64_t patience, stream_closed *closed);

/*
 * Close so that the peer can tell that something is missing: by a reset, where the transport has
 * one, after what was sent has been acknowledged or `patience` milliseconds (0: at once) have
 * passed.
 */
void stream_reset(struct stream *stream, uint64_t patience, stream_closed *closed);

/*
 * Should the process end before this stream has been closed, is its peer to see a reset? For as
 * long as something is still to be written.
 */
void stream_reset_at_exit(struct stream *stream, bool reset);

/* An error of this stream, in words. Valid until the next call. */
const char *stream_error(const struct stream *stream, int error);

/* stdin is a terminal. */
bool stream_input_is_terminal(void);

#endif
