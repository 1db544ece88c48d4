/* npy_write.c: tensors as .npy files, version 1.0, C order, little endian; the header is padded to
 * 64 bytes as numpy does. bf16 has no numpy dtype, so its bits are written as uint16. */
#include "cli/problem.h"
#include <stdlib.h>
#include <string.h>

static const char *const descr[] = {
	[DTYPE_BF16] = "<u2",
	[DTYPE_F16] = "<f2",
	[DTYPE_F32] = "<f4",
	[DTYPE_I32] = "<i4",
	[DTYPE_F64] = "<f8",
};

static bool little_endian(void)
{
	uint16_t one = 1;
	return *(const uint8_t *)&one == 1;
}

cli_status npy_write(const options *o, const char *path, const void *data, sema_dtype t, int rank,
	const int64_t *shape)
{
	text header = {0}, file = {0};
	int64_t count = 1;
	size_t size = (size_t)sema_dtype_size(t);

	text_printf(&header, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[t]);
	for (int i = 0; i < rank; i++) {
		text_printf(&header, "%lld%s", (long long)shape[i],
			rank == 1 || i + 1 < rank ? ", " : "");
		count *= shape[i];
	}
	text_put(&header, "), }");
	while ((10 + header.len + 1) % 64 != 0)
		text_put(&header, " ");
	text_put(&header, "\n");
	text_putn(&file, "\x93NUMPY\x01\x00", 8);
	text_putn(&file, (const char[]){(char)(header.len & 255), (char)(header.len >> 8)}, 2);
	text_putn(&file, header.data, header.len);
	size_t start = file.len;
	if (count)
		text_putn(&file, data, (size_t)count * size);
	for (size_t at = start; !little_endian() && at < file.len; at += size)
		for (size_t k = 0; k < size / 2; k++) {
			char low = file.data[at + k];
			file.data[at + k] = file.data[at + size - 1 - k];
			file.data[at + size - 1 - k] = low;
		}
	cli_status status = file_write(o, path, file.data, file.len);
	text_free(&header);
	text_free(&file);
	return status;
}
