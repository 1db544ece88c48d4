/* key.c: digests of labelled fields. Every label and value goes in with its length before it, so
 * that no two different lists of fields feed the same bytes. */
#include "runtime/cache/internal.h"
#include <sha2.h>
#include <string.h>

_Static_assert(sizeof(SHA2_CTX) <= sizeof((rt_cache_digest *)0)->state, "state fits");

static SHA2_CTX *sha(rt_cache_digest *d)
{
	return (SHA2_CTX *)(void *)d->state;
}

static void put_u64(rt_cache_digest *d, uint64_t v)
{
	unsigned char b[8];
	for (int i = 0; i < 8; i++)
		b[i] = (unsigned char)(v >> 8 * i);
	SHA256Update(sha(d), b, sizeof b);
}

static void put_sized(rt_cache_digest *d, const void *data, size_t size)
{
	put_u64(d, size);
	if (size > 0)
		SHA256Update(sha(d), data, size);
}

void rt_cache_key_begin(rt_cache_digest *d)
{
	SHA256Init(sha(d));
	rt_cache_key_text(d, "format", "trikl cache key 1");
}

void rt_cache_key_bytes(rt_cache_digest *d, const char *label, const void *data, size_t size)
{
	put_sized(d, label, strlen(label));
	put_sized(d, data, size);
}

void rt_cache_key_text(rt_cache_digest *d, const char *label, const char *value)
{
	rt_cache_key_bytes(d, label, value, strlen(value));
}

void rt_cache_key_int(rt_cache_digest *d, const char *label, int64_t value)
{
	put_sized(d, label, strlen(label));
	put_u64(d, 8);
	put_u64(d, (uint64_t)value);
}

rt_cache_key rt_cache_key_end(rt_cache_digest *d)
{
	SHA256Final(d->key.byte, sha(d));
	return d->key;
}

void rt_cache_key_hex(const rt_cache_key *key, char hex[RT_CACHE_KEY_HEX])
{
	for (int i = 0; i < 32; i++) {
		hex[2 * i] = "0123456789abcdef"[key->byte[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[key->byte[i] & 15];
	}
	hex[64] = 0;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool rt_cache_key_parse(const char *hex, rt_cache_key *key)
{
	for (int i = 0; i < 32; i++) {
		int high = hex_value(hex[2 * i]), low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);

		if (low < 0)
			return false;
		key->byte[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}
