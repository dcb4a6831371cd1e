#include "base/build.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ID_SIZE = 41 };

/* Notes are a header, the name and the content, the latter two padded to 4 bytes. */
static void find_in_notes(const char *at, size_t size, char id[ID_SIZE])
{
    ElfW(Nhdr) note;
    while (size >= sizeof note) {
        memcpy(&note, at, sizeof note);
        const size_t name = (note.n_namesz + 3u) / 4 * 4, content = (note.n_descsz + 3u) / 4 * 4;
        if (size - sizeof note < name + content) return;
        const char *text = at + sizeof note;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(text, "GNU", 4) == 0) {
            const unsigned char *bytes = (const unsigned char *)text + name;
            for (size_t i = 0; i < note.n_descsz && 2 * i + 2 < ID_SIZE; i++)
                snprintf(id + 2 * i, 3, "%02x", bytes[i]);
            return;
        }
        at += sizeof note + name + content;
        size -= sizeof note + name + content;
    }
}

static int look(struct dl_phdr_info *object, size_t size, void *id)
{
    (void)size;
    const uintptr_t here = (uintptr_t)ls_build_id;
    int ours = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        const uintptr_t begin = object->dlpi_addr + part->p_vaddr;
        ours = ours || (part->p_type == PT_LOAD && here >= begin && here - begin < part->p_memsz);
    }
    for (int i = 0; ours && i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_NOTE)
            find_in_notes((const char *)(object->dlpi_addr + part->p_vaddr), part->p_memsz, id);
    }
    return ours;
}

const char *ls_build_id(void)
{
    static char id[ID_SIZE] = "unknown";
    dl_iterate_phdr(look, id);
    return id;
}
