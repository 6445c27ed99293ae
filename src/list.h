/*
 * A list whose members hold its links, so that one can leave without a search. Zeroed memory is the
 * empty list.
 */
#ifndef MUXCAT_LIST_H
#define MUXCAT_LIST_H

struct list_link {
	struct list_link *next;
	struct list_link **at; /* what points to this link */
};

static inline void list_add(struct list_link **list, struct list_link *link)
{
	link->next = *list;
	link->at = list;
	if (link->next)
		link->next->at = &link->next;
	*list = link;
}

static inline void list_remove(struct list_link *link)
{
	*link->at = link->next;
	if (link->next)
		link->next->at = link->at;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): `link` is a name, not an expression */

/* Declares `link` and goes through `list`; the member that is visited may leave meanwhile. */
#define list_each(link, list)                                                                      \
	for (struct list_link *link = (list), *link##_next; link && (link##_next = link->next, 1); \
		link = link##_next)

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
