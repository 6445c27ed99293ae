#include "funnel.h"

#include <errno.h>

static void write_first(struct funnel *funnel);

static void take_first(struct funnel *funnel)
{
	struct funnel_source *source = funnel->first;

	funnel->first = source->next;
	if (!funnel->first)
		funnel->last = &funnel->first;
	source->waiting = false;
	mux_buf_unref(source->buf);
	source->buf = NULL;
}

static void sent(struct stream *out, ssize_t result)
{
	struct funnel *funnel = out->owner;
	struct funnel_source *source = funnel->first;

	if (result < 0) {
		funnel->broken = true;
		funnel->failed(funnel, (int)result);
		return;
	}
	take_first(funnel);
	if (funnel->first)
		write_first(funnel);
	funnel->written(source);
}

static void write_first(struct funnel *funnel)
{
	struct funnel_source *source = funnel->first;

	stream_send(funnel->out, source->buf, source->data, source->length, sent);
}

void funnel_open(struct funnel *funnel, struct stream *out)
{
	funnel->out = out;
	funnel->last = &funnel->first;
	out->owner = funnel;
}

void funnel_close(struct funnel *funnel)
{
	while (funnel->first)
		take_first(funnel);
}

int funnel_put(struct funnel *funnel, struct funnel_source *source, struct mux_buf *buf,
	const unsigned char *data, size_t length)
{
	if (funnel->broken)
		return -EPIPE;
	source->data = data;
	source->length = length;
	/* the first is written at once; the others keep their bytes until it is their turn */
	source->buf = funnel->first ? mux_buf_keep(buf, &source->data, length) : mux_buf_ref(buf);
	if (!source->buf)
		return -ENOMEM;
	source->next = NULL;
	source->waiting = true;
	*funnel->last = source;
	funnel->last = &source->next;
	if (funnel->first == source)
		write_first(funnel);
	return 0;
}
