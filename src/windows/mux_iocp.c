/* The completion port, and the sockets that come to it. */
#include "mux_iocp.h"

#include <errno.h>
#include <stdlib.h>

enum { DRAIN_WAIT = 1000 }; /* milliseconds for the completions of what was closed, at the end */

/* ---- sockets by descriptor: dialled and attached anew, one keeps its key ---- */

static struct overlapped_socket **find(struct iocp_state *iocp, mux_fd fd)
{
	struct overlapped_socket **link = &iocp->buckets[(size_t)fd / 4 % IOCP_BUCKETS];

	while (*link && (*link)->fd != fd)
		link = &(*link)->next_in_bucket;
	return link;
}

static void free_if_over(struct overlapped_socket *socket)
{
	if (!socket->closed || socket->under_way)
		return;
	free(socket->accepts);
	free(socket->datagrams);
	free(socket);
}

static void forget(struct overlapped_socket *socket)
{
	struct overlapped_socket **link = find(socket->iocp, socket->fd);

	*link = socket->next_in_bucket;
	socket->closed = true;
}

/* ---- handles ---- */

/*
 * May an immediate success do without a completion? Only where nothing stands between the socket
 * and the system (XP1_IFS_HANDLES; "SetFileCompletionNotificationModes", Win32), and not for
 * datagrams, of which a truncated one would be told twice.
 */
static void inspect(struct overlapped_socket *socket)
{
	WSAPROTOCOL_INFOW protocol;
	int length = sizeof(protocol);

	if (getsockopt(socket->fd, SOL_SOCKET, SO_PROTOCOL_INFOW, (void *)&protocol, &length) < 0)
		return;
	socket->family = protocol.iAddressFamily;
	socket->stream = protocol.iSocketType == SOCK_STREAM;
	socket->told_at_once =
		socket->stream && (protocol.dwServiceFlags1 & XP1_IFS_HANDLES) &&
		SetFileCompletionNotificationModes((HANDLE)socket->fd,
			FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE);
}

static int attach_new(struct iocp_state *iocp, struct overlapped_socket *socket)
{
	struct overlapped_socket **link;

	if (!CreateIoCompletionPort((HANDLE)socket->fd, iocp->port, (ULONG_PTR)socket, 0))
		return os_windows_error(GetLastError());
	link = find(iocp, socket->fd);
	if (*link) { /* closed while it was detached, and its number is used again */
		struct overlapped_socket *stale = *link;

		*link = stale->next_in_bucket;
		stale->closed = true;
		free_if_over(stale);
		link = find(iocp, socket->fd);
	}
	*link = socket;
	inspect(socket);
	return 0;
}

static int iocp_attach(struct mux_io *io)
{
	struct iocp_state *iocp = io->mux->state;
	struct overlapped_socket *socket = calloc(1, sizeof(*socket));
	int error;

	if (!socket)
		return -ENOMEM;
	socket->iocp = iocp;
	socket->fd = io->fd;
	error = attach_new(iocp, socket);
	if (error) {
		/* a port takes a socket once, for good: this may be one that was detached */
		free(socket);
		socket = error == -EINVAL ? *find(iocp, io->fd) : NULL;
		if (!socket || socket->io)
			return error;
	}
	socket->io = io;
	io->under = socket;
	return 0;
}

static void iocp_detach(struct mux_io *io)
{
	struct overlapped_socket *socket = io->under;

	socket->io = NULL;
}

static void iocp_close_socket(struct mux_io *io)
{
	struct overlapped_socket *socket = io->under;

	forget(socket);
	socket->io = NULL;
	for (size_t i = 0; socket->accepts && i < IOCP_ACCEPTS; i++)
		if (socket->accepts[i].call.state == CALL_ENDED)
			iocp_refuse(&socket->accepts[i]);
	if (socket->under_way)
		CancelIoEx((HANDLE)socket->fd, NULL);
	os_close(socket->fd, OS_SOCKET);
	free_if_over(socket);
}

static const struct mux_calls iocp_calls = {
	.one_shot = true,
	.attach = iocp_attach,
	.detach = iocp_detach,
	.want = iocp_want,
	.close = iocp_close_socket,
	.accept = iocp_accept,
	.connect = iocp_connect,
	.connect_result = iocp_connect_result,
	.read = iocp_read,
	.recvfrom = iocp_recvfrom,
	.write = iocp_write,
	.sendto = iocp_sendto,
	.cancelled = iocp_cancelled,
};

/* ---- the port ---- */

/* The result of a call whose completion has come; its socket is open. */
static void take_result(struct overlapped_socket *socket, struct call *call)
{
	DWORD bytes;
	DWORD flags;

	if (WSAGetOverlappedResult(socket->fd, &call->overlapped, &bytes, FALSE, &flags))
		call->result = (ssize_t)bytes;
	else
		call->result = os_socket_error();
}

static void completed(struct overlapped_socket *socket, struct call *call)
{
	socket->under_way--;
	socket->iocp->under_way--;
	if (!socket->closed)
		take_result(socket, call);
	call->state = CALL_ENDED;
	call->ended(socket, call);
	free_if_over(socket);
}

static bool find_function(mux_fd fd, GUID id, void *function, size_t size)
{
	DWORD n;

	return WSAIoctl(fd, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), function,
		       (DWORD)size, &n, NULL, NULL) == 0;
}

static int find_functions(struct iocp_state *iocp)
{
	mux_fd fd = os_socket(AF_INET, SOCK_STREAM);
	int error = 0;

	if (fd < 0)
		return (int)fd;
	if (!find_function(fd, (GUID)WSAID_ACCEPTEX, &iocp->accept, sizeof(iocp->accept)) ||
		!find_function(fd, (GUID)WSAID_CONNECTEX, &iocp->connect, sizeof(iocp->connect)))
		error = os_socket_error();
	os_close(fd, OS_SOCKET);
	return error;
}

static int iocp_open(void **state)
{
	struct iocp_state *iocp = calloc(1, sizeof(*iocp));
	int error;

	if (!iocp)
		return -ENOMEM;
	iocp->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
	error = iocp->port ? find_functions(iocp) : os_windows_error(GetLastError());
	if (error) {
		if (iocp->port)
			CloseHandle(iocp->port);
		free(iocp);
		return error;
	}
	*state = iocp;
	return 0;
}

static int iocp_wait(void *state, int timeout)
{
	struct iocp_state *iocp = state;
	ULONG count;

	if (!GetQueuedCompletionStatusEx(iocp->port, iocp->entries, IOCP_BATCH, &count,
		    timeout < 0 ? INFINITE : (DWORD)timeout, FALSE))
		return GetLastError() == WAIT_TIMEOUT ? 0 : os_windows_error(GetLastError());
	for (ULONG i = 0; i < count; i++) {
		const OVERLAPPED_ENTRY *entry = &iocp->entries[i];

		if (entry->lpOverlapped) /* else it is only to wake up */
			completed((struct overlapped_socket *)entry->lpCompletionKey,
				container_of(entry->lpOverlapped, struct call, overlapped));
	}
	return 0;
}

static void iocp_wake(void *state)
{
	struct iocp_state *iocp = state;

	PostQueuedCompletionStatus(iocp->port, 0, 0, NULL);
}

/* Everything is closed; what was cut short by that is still to be taken. */
static void iocp_close(void *state)
{
	struct iocp_state *iocp = state;

	while (iocp->under_way) {
		size_t before = iocp->under_way;

		if (iocp_wait(iocp, DRAIN_WAIT) < 0 || iocp->under_way == before)
			break;
	}
	CloseHandle(iocp->port);
	free(iocp);
}

const struct mux_backend mux_iocp = {
	.name = "iocp",
	.has_edge = false,
	.descriptor_limit = 0,
	.open = iocp_open,
	.close = iocp_close,
	.calls = &iocp_calls,
	.wait = iocp_wait,
	.wake = iocp_wake,
};
