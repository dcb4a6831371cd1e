#include "base/fault.h"

#ifdef LOCKSTEP_FAULTS

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
#define LS_FAULT_WORD(name, word, error) word,
    LS_FAULT_LIST(LS_FAULT_WORD)
#undef LS_FAULT_WORD
};

static const int errors[] = {
#define LS_FAULT_ERRNO(name, word, error) error,
    LS_FAULT_LIST(LS_FAULT_ERRNO)
#undef LS_FAULT_ERRNO
};

static struct {
    bool known; /* the environment has been looked at */
    ls_fault_site site;
    int64_t first, count;
    int64_t asked[LS_FAULT_SITES];
    int64_t asked_here; /* at the plan's site or sites */
} plan;

void ls_fault_plan(ls_fault_site site, int64_t first, int64_t count)
{
    memset(&plan, 0, sizeof plan);
    plan.known = true;
    plan.site = site;
    plan.first = first;
    plan.count = count;
}

int64_t ls_fault_asked(ls_fault_site site)
{
    return plan.asked[site];
}

static void read_environment(void)
{
    char word[16];
    long long first, count = 1;
    const char *text = getenv("LOCKSTEP_FAULT_PLAN");
    plan.known = true;
    if (!text || sscanf(text, "%15[a-z0-9]:%lld:%lld", word, &first, &count) < 2) return;
    for (int site = 0; site < LS_FAULT_SITES; site++)
        if (strcmp(word, words[site]) == 0) ls_fault_plan((ls_fault_site)site, first, count);
}

bool ls_fault(ls_fault_site site)
{
    if (!plan.known) read_environment();
    plan.asked[site]++;
    if (plan.count == 0) return false;
    if (site != plan.site && (plan.site != LS_FAULT_SITES || site == LS_FAULT_MPI)) return false;
    plan.asked_here++;
    if (plan.asked_here < plan.first || plan.asked_here - plan.first >= plan.count) return false;
    errno = errors[site];
    return true;
}

#endif
