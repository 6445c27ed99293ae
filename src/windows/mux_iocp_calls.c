/* What is tried on an overlapped socket, and what its completions bring. */
#include "mux_iocp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEND_PIECE = 32 * 1024 }; /* a slow peer is seen to move at least this often */

/* ---- beginning a call ---- */

enum begun { BEGUN_FAILED = -1, BEGUN, BEGUN_AND_ENDED };

/*
 * Account for a call that has just been made: `succeeded` as it returned. A failure is in
 * call->result; what has ended at once gets no completion.
 */
static enum begun account(struct overlapped_socket *socket, struct call *call, bool succeeded)
{
	if (!succeeded && WSAGetLastError() != WSA_IO_PENDING) {
		call->result = os_socket_error();
		return BEGUN_FAILED;
	}
	if (succeeded && socket->told_at_once)
		return BEGUN_AND_ENDED;
	call->state = CALL_UNDER_WAY;
	socket->under_way++;
	socket->iocp->under_way++;
	return BEGUN;
}

static void prepare(
	struct call *call, void (*ended)(struct overlapped_socket *socket, struct call *call))
{
	memset(&call->overlapped, 0, sizeof(call->overlapped));
	call->ended = ended;
}

static void tell(struct overlapped_socket *socket, unsigned event)
{
	if (socket->io)
		mux_io_ready(socket->io, event);
}

/* ---- receiving ---- */

static void readable(struct overlapped_socket *socket, struct call *call)
{
	call->state = CALL_IDLE; /* the receive that follows tells what there is */
	if (call->result < 0)
		socket->failure = (int)call->result;
	tell(socket, MUX_READ);
}

static int want_bytes(struct overlapped_socket *socket)
{
	struct call *call = &socket->receive;
	WSABUF nothing = { 0, NULL };
	DWORD flags = 0;
	DWORD n;

	if (call->state == CALL_UNDER_WAY)
		return 0; /* of a receive that was cancelled: it has lost nothing */
	prepare(call, readable);
	switch (account(socket, call,
		WSARecv(socket->fd, &nothing, 1, &n, &flags, &call->overlapped, NULL) == 0)) {
	case BEGUN_FAILED:
		socket->failure = (int)call->result;
		/* fall through */
	case BEGUN_AND_ENDED:
		mux_io_ready_at_once(socket->io);
		return 0;
	default:
		return 0;
	}
}

static void datagram_arrived(struct overlapped_socket *socket, struct call *call)
{
	(void)call; /* collected by iocp_recvfrom */
	tell(socket, MUX_READ);
}

static int want_datagram(struct overlapped_socket *socket)
{
	struct call *call = &socket->receive;
	WSABUF room = { sizeof(socket->datagrams->bytes), NULL };
	DWORD flags = 0;
	DWORD n;

	if (call->state == CALL_UNDER_WAY)
		return 0;
	if (call->state == CALL_IDLE) {
		if (!socket->datagrams)
			socket->datagrams = malloc(sizeof(*socket->datagrams));
		if (!socket->datagrams)
			return -ENOMEM;
		room.buf = socket->datagrams->bytes;
		socket->datagrams->from.length = sizeof(socket->datagrams->from.u);
		prepare(call, datagram_arrived);
		if (account(socket, call,
			    WSARecvFrom(socket->fd, &room, 1, &n, &flags,
				    &socket->datagrams->from.u.any, &socket->datagrams->from.length,
				    &call->overlapped, NULL) == 0) == BEGUN)
			return 0;
		call->state = CALL_ENDED; /* with an error, since it is not told at once */
	}
	mux_io_ready_at_once(socket->io);
	return 0;
}

ssize_t iocp_read(struct mux_io *io, void *into, size_t size)
{
	struct overlapped_socket *socket = io->under;
	ssize_t n = os_read(io->fd, io->kind, into, size);

	/* what came before the failure comes first; it is told by the wait alone */
	return n <= 0 && socket->failure ? socket->failure : n;
}

ssize_t iocp_recvfrom(struct mux_io *io, void *into, size_t size, struct os_address *from)
{
	struct overlapped_socket *socket = io->under;
	struct call *call = &socket->receive;

	switch (call->state) {
	case CALL_IDLE:
		return os_recvfrom(io->fd, into, size, from);
	case CALL_UNDER_WAY:
		return -EAGAIN;
	default:
		break;
	}
	call->state = CALL_IDLE;
	if (from)
		*from = socket->datagrams->from;
	if (call->result < 0)
		return call->result;
	if ((size_t)call->result > size)
		return -EMSGSIZE;
	memcpy(into, socket->datagrams->bytes, (size_t)call->result);
	return call->result;
}

/* ---- accepting ---- */

/* Whoever has come and is not served shall not take it for an end. */
void iocp_refuse(struct accept_call *accept)
{
	os_reset_on_close(accept->accepted, true);
	os_close(accept->accepted, OS_SOCKET);
}

static void accept_ended(struct overlapped_socket *socket, struct call *call)
{
	struct accept_call *accept = container_of(call, struct accept_call, call);

	if (socket->closed)
		iocp_refuse(accept);
	else
		tell(socket, MUX_READ);
}

static int begin_accept(struct overlapped_socket *socket, struct accept_call *accept)
{
	DWORD half = sizeof(accept->addresses) / 2;
	DWORD n;

	accept->accepted = os_socket(socket->family, SOCK_STREAM);
	if (accept->accepted < 0)
		return (int)accept->accepted;
	prepare(&accept->call, accept_ended);
	switch (account(socket, &accept->call,
		socket->iocp->accept(socket->fd, accept->accepted, accept->addresses, 0, half, half,
			&n, &accept->call.overlapped))) {
	case BEGUN_FAILED:
		os_close(accept->accepted, OS_SOCKET);
		return (int)accept->call.result;
	case BEGUN_AND_ENDED:
		accept->call.result = 0;
		accept->call.state = CALL_ENDED;
		return 0;
	default:
		return 0;
	}
}

static int want_connections(struct overlapped_socket *socket)
{
	int error = 0;
	bool some = false;
	bool ended = false;

	if (!socket->accepts)
		socket->accepts = calloc(IOCP_ACCEPTS, sizeof(*socket->accepts));
	if (!socket->accepts)
		return -ENOMEM;
	for (size_t i = 0; i < IOCP_ACCEPTS; i++) {
		struct accept_call *accept = &socket->accepts[i];

		if (accept->call.state == CALL_IDLE && !error)
			error = begin_accept(socket, accept);
		some = some || accept->call.state != CALL_IDLE;
		ended = ended || accept->call.state == CALL_ENDED;
	}
	if (ended)
		mux_io_ready_at_once(socket->io);
	return some ? 0 : error; /* one is enough to go on with */
}

/* Has the one who came failed, rather than the listener? */
static bool is_of_connection(int error)
{
	return error == -ECONNRESET || error == -ECONNABORTED || error == -ENOTCONN ||
	       error == -ETIMEDOUT;
}

/* The new socket takes on what its listener has (AcceptEx, "Remarks"). */
static mux_fd finish_accept(
	struct overlapped_socket *socket, struct accept_call *accept, struct os_address *peer)
{
	mux_fd fd = accept->accepted;
	SOCKET listener = (SOCKET)socket->fd;
	BOOL no_delay = FALSE;
	int length = sizeof(no_delay);

	accept->call.state = CALL_IDLE;
	if (accept->call.result < 0) {
		os_close(fd, OS_SOCKET);
		return is_of_connection((int)accept->call.result) ? -ECONNABORTED
								  : accept->call.result;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (void *)&listener,
		    sizeof(listener)) < 0) {
		os_close(fd, OS_SOCKET);
		return -ECONNABORTED;
	}
	if (getsockopt(listener, IPPROTO_TCP, TCP_NODELAY, (void *)&no_delay, &length) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)&no_delay, sizeof(no_delay));
	if (peer) {
		peer->length = sizeof(peer->u);
		if (getpeername(fd, &peer->u.any, &peer->length) < 0)
			peer->length = 0;
	}
	return fd;
}

mux_fd iocp_accept(struct mux_io *io, struct os_address *peer)
{
	struct overlapped_socket *socket = io->under;

	for (size_t i = 0; i < IOCP_ACCEPTS; i++)
		if (socket->accepts[i].call.state == CALL_ENDED)
			return finish_accept(socket, &socket->accepts[i], peer);
	return -EAGAIN;
}

/* ---- sending and connecting ---- */

static void release_sending(struct overlapped_socket *socket)
{
	mux_buf_unref(socket->sending);
	socket->sending = NULL;
}

static void send_ended(struct overlapped_socket *socket, struct call *call)
{
	release_sending(socket);
	if (socket->disowned) {
		socket->disowned = false;
		call->state = CALL_IDLE;
	}
	tell(socket, MUX_WRITE);
}

/* What the last call brought, if it has ended; else whether there is one. */
static bool collect(struct call *call, ssize_t *result)
{
	if (call->state == CALL_IDLE)
		return false;
	*result = call->state == CALL_ENDED ? call->result : -EAGAIN;
	if (call->state == CALL_ENDED)
		call->state = CALL_IDLE;
	return true;
}

/*
 * Collect the send under way, or begin one. WSASendTo with no address is WSASend ("WSASendTo",
 * Remarks).
 */
static ssize_t send_piece(struct overlapped_socket *socket, const struct mux_op *op, size_t start,
	size_t length, const struct os_address *to)
{
	struct call *call = &socket->send;
	WSABUF piece = { (ULONG)length, (char *)op->data + start };
	DWORD n;
	ssize_t result;

	if (collect(call, &result))
		return result;
	prepare(call, send_ended);
	switch (account(socket, call,
		WSASendTo(socket->fd, &piece, 1, &n, 0, to ? &to->u.any : NULL, to ? to->length : 0,
			&call->overlapped, NULL) == 0)) {
	case BEGUN_FAILED:
		return call->result;
	case BEGUN_AND_ENDED:
		return (ssize_t)length;
	default:
		socket->sending = mux_buf_ref(op->buf);
		return -EAGAIN;
	}
}

ssize_t iocp_write(struct mux_io *io, const struct mux_op *op)
{
	size_t rest = op->length - op->moved;

	return send_piece(io->under, op, op->moved, rest < SEND_PIECE ? rest : SEND_PIECE, NULL);
}

ssize_t iocp_sendto(struct mux_io *io, const struct mux_op *op)
{
	return send_piece(io->under, op, 0, op->length, op->address);
}

/* ConnectEx wants a bound socket; one that has been bound to a source stays so. */
static int bind_anywhere(struct overlapped_socket *socket)
{
	struct os_address any = { .u.any.sa_family = (ADDRESS_FAMILY)socket->family };
	int length = socket->family == AF_INET6 ? sizeof(any.u.v6) : sizeof(any.u.v4);

	if (bind(socket->fd, &any.u.any, length) < 0 && WSAGetLastError() != WSAEINVAL)
		return os_socket_error();
	return 0;
}

static int connected(struct overlapped_socket *socket)
{
	if (setsockopt(socket->fd, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) < 0)
		return os_socket_error();
	return 0;
}

/* A Unix socket's connect, which ConnectEx does not know, waits for nobody far away. */
static int connect_at_once(mux_fd fd, const struct os_address *to)
{
	u_long blocking = 0;
	u_long nonblocking = 1;
	int error;

	ioctlsocket(fd, FIONBIO, &blocking);
	error = os_connect(fd, to);
	ioctlsocket(fd, FIONBIO, &nonblocking);
	return error;
}

int iocp_connect(struct mux_io *io, const struct os_address *to)
{
	struct overlapped_socket *socket = io->under;
	struct call *call = &socket->send;
	int error;

	if (!socket->stream || socket->family == AF_UNIX)
		return connect_at_once(io->fd, to);
	error = bind_anywhere(socket);
	if (error)
		return error;
	prepare(call, send_ended);
	switch (account(socket, call,
		socket->iocp->connect(
			socket->fd, &to->u.any, to->length, NULL, 0, NULL, &call->overlapped))) {
	case BEGUN_FAILED:
		return (int)call->result;
	case BEGUN_AND_ENDED:
		return connected(socket);
	default:
		return -EINPROGRESS;
	}
}

int iocp_connect_result(struct mux_io *io)
{
	struct overlapped_socket *socket = io->under;
	ssize_t result = 0;

	collect(&socket->send, &result);
	return result < 0 ? (int)result : connected(socket);
}

/* Only a send is stopped: a receive has lost nothing and serves the next that asks. */
void iocp_cancelled(struct mux_io *io, const struct mux_op *op)
{
	struct overlapped_socket *socket = io->under;

	if (op != io->writing || socket->send.state == CALL_IDLE)
		return;
	if (socket->send.state == CALL_ENDED) {
		socket->send.state = CALL_IDLE;
		return;
	}
	socket->disowned = true;
	CancelIoEx((HANDLE)socket->fd, &socket->send.overlapped);
}

/* ---- wanting to read ---- */

int iocp_want(struct mux_io *io, unsigned interest)
{
	if (!(interest & ~io->wanted & MUX_READ))
		return 0; /* a write was begun by its try */
	switch (io->reading->kind) {
	case MUX_ACCEPT:
		return want_connections(io->under);
	case MUX_RECV:
		return want_bytes(io->under);
	default:
		return want_datagram(io->under);
	}
}
