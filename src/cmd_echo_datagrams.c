#include "cmd_echo.h"

#include <errno.h>

/* Room for any UDP datagram; and apart by a little more, for other lines of the processor's cache. */
enum { ROOM = 64 * 1024, APART = ROOM + 128 };

/* Milliseconds until receiving is tried again when the system had no memory for it. */
enum { PAUSE = 100 };

struct echo_datagrams {
	struct cmd cmd;
	struct mux_io io;
	struct mux_op recv_op;
	struct mux_op send_op;
	struct mux_timer again;
	struct mux_buf *buf; /* where the data of all lie */
	struct os_datagram datagrams[OS_DATAGRAMS];
	size_t room; /* for how many, next time */
	struct os_address bound;
	struct socket_file file;
};

static void received(struct mux_op *op, ssize_t n);

/* Twice as many as came last time: to make room for more costs something, too. */
static void receive(struct echo_datagrams *echo, size_t came)
{
	echo->room = came < OS_DATAGRAMS / 2 ? 2 * came + 1 : OS_DATAGRAMS;
	mux_recv_datagrams(&echo->io, &echo->recv_op, echo->datagrams, echo->room, received);
}

static void receive_again(struct mux_timer *timer)
{
	receive(container_of(timer, struct echo_datagrams, again), 0);
}

static void sent(struct mux_op *op, ssize_t result)
{
	struct echo_datagrams *echo = container_of(op, struct echo_datagrams, send_op);

	if (result == -ECANCELED)
		return;
	if (echo->cmd.stopping)
		mux_close(&echo->io, NULL);
	else
		receive(echo, (size_t)result);
}

static bool can_be_answered(const struct os_datagram *datagram)
{
	char text[ADDRESS_TEXT];

	if (datagram->length == -EMSGSIZE)
		report_warning("recv %s: a datagram of over 64 KiB is dropped",
			address_socket_text(&datagram->peer, text));
	return datagram->length >= 0 && datagram->peer.length;
}

/* Those to be answered come first: how many they are. */
static size_t choose(struct os_datagram *datagrams, size_t count)
{
	size_t chosen = 0;

	for (size_t i = 0; i < count; i++) {
		struct os_datagram other = datagrams[chosen];

		if (!can_be_answered(&datagrams[i]))
			continue;
		if (i > chosen) {
			datagrams[chosen] = datagrams[i];
			datagrams[i] = other;
		}
		chosen++;
	}
	return chosen;
}

static void received(struct mux_op *op, ssize_t n)
{
	struct echo_datagrams *echo = container_of(op, struct echo_datagrams, recv_op);
	size_t chosen;

	if (n == -ECANCELED)
		return;
	cmd_somebody_came(&echo->cmd);
	if (n == -ENOMEM || n == -ENOBUFS) {
		mux_timer_start(echo->cmd.mux, &echo->again, PAUSE, receive_again);
		return;
	}
	if (n < 0 && !datagram_error_passes((int)n)) {
		report_error("recv: %s", os_error((int)n));
		cmd_fail(&echo->cmd, CMD_ERROR);
		return;
	}
	chosen = n < 0 ? 0 : choose(echo->datagrams, (size_t)n);
	if (!chosen || echo->cmd.options->discard)
		receive(echo, n < 0 ? 0 : (size_t)n);
	else
		mux_send_datagrams(
			&echo->io, &echo->send_op, echo->buf, echo->datagrams, chosen, sent);
}

static void stop(struct cmd *cmd)
{
	struct echo_datagrams *echo = container_of(cmd, struct echo_datagrams, cmd);

	socket_file_remove(&echo->file);
	mux_timer_stop(&echo->again);
	if (!echo->io.writing)
		mux_close(&echo->io, NULL);
}

static bool serve(struct echo_datagrams *echo)
{
	const struct options *options = echo->cmd.options;
	mux_fd fd = datagram_bind(&options->address, &options->socket, &echo->bound, &echo->file);
	int error = fd < 0 ? fd : mux_attach(echo->cmd.mux, &echo->io, fd, OS_SOCKET);

	if (error) {
		cmd_listen_failed(&echo->cmd, error);
		socket_file_remove(&echo->file);
		if (fd >= 0)
			os_close(fd, OS_SOCKET);
		return false;
	}
	receive(echo, 0);
	if (cmd_announce(&echo->cmd, &echo->bound))
		return true;
	cmd_fail(&echo->cmd, CMD_ERROR);
	return false;
}

int cmd_echo_datagrams(const struct options *options)
{
	struct echo_datagrams echo = { .buf = mux_buf_new((size_t)APART * OS_DATAGRAMS) };
	int status;

	if (!echo.buf) {
		report_error("out of memory");
		return CMD_ERROR;
	}
	for (size_t i = 0; i < OS_DATAGRAMS; i++) {
		echo.datagrams[i].data = echo.buf->data + i * APART;
		echo.datagrams[i].size = ROOM;
	}
	status = cmd_open(&echo.cmd, options, stop);
	if (!status) {
		serve(&echo);
		status = cmd_run(&echo.cmd);
	}
	mux_buf_unref(echo.buf);
	return status;
}
