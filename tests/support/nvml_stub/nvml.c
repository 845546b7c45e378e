/* A stand-in for libnvidia-ml.so.1: the GPUs that the environment variable NVML_STUB describes.
 *
 * GPUs are separated by ';', their fields by ',': name=...,total=MIB,used=MIB,cc=80,temp=41,
 * watts=250,links=12,gen=4,width=16,ecc=0,pending=0,remap=0,fail=CODE,broken=CODE,
 * pids=PID:MIB/PID:MIB, and slices=NAME:MIB/NAME:MIB where MIG is on. `fail` is answered to every
 * question about the GPU, `broken` to all but its name and handle. What is not said is not
 * supported. Functions that a driver does not have are hidden when this is linked.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, WRONG = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, MOST = 16, FEW = 8 };

typedef struct { char name[96]; unsigned long long mib; } part;
typedef struct {
    char name[96];
    long total, used, cc, temp, watts, links, gen, width, ecc, pending, remap, fail, broken;
    int processes, slices, mig;
    part process[FEW], slice[FEW];
} gpu;
typedef struct { unsigned pid; unsigned long long used; unsigned instance, compute; } process_info;

static gpu gpus[MOST];
static int count;

/* "A:1/B:2" as parts. */
static int parts_of(char *text, part *into) {
    int found = 0;
    char *rest = NULL;
    for (char *one = strtok_r(text, "/", &rest); one && found < FEW;
         one = strtok_r(NULL, "/", &rest)) {
        char *colon = strrchr(one, ':');
        if (!colon) continue;
        *colon = 0;
        snprintf(into[found].name, sizeof into[found].name, "%s", one);
        into[found++].mib = strtoull(colon + 1, NULL, 10);
    }
    return found;
}

static void set(gpu *g, char *key, char *value) {
    struct { const char *key; long *field; } numbers[] = {
        {"total", &g->total}, {"used", &g->used}, {"cc", &g->cc}, {"temp", &g->temp},
        {"watts", &g->watts}, {"links", &g->links}, {"gen", &g->gen}, {"width", &g->width},
        {"ecc", &g->ecc}, {"pending", &g->pending}, {"remap", &g->remap}, {"fail", &g->fail},
        {"broken", &g->broken}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) *numbers[i].field = strtol(value, NULL, 10);
    if (!strcmp(key, "name")) snprintf(g->name, sizeof g->name, "%s", value);
    if (!strcmp(key, "pids")) g->processes = parts_of(value, g->process);
    if (!strcmp(key, "slices")) g->mig = 1, g->slices = parts_of(value, g->slice);
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const char *said = getenv("NVML_STUB");
    char *text = strdup(said ? said : ""), *rest = NULL;
    count = 0;
    for (char *one = strtok_r(text, ";", &rest); one && count < MOST;
         one = strtok_r(NULL, ";", &rest)) {
        gpu *g = &gpus[count++];
        memset(g, 0, sizeof *g);
        g->total = g->used = g->cc = g->temp = g->watts = g->links = -1;
        g->gen = g->width = g->ecc = g->pending = g->remap = -1;
        char *more = NULL;
        for (char *field = strtok_r(one, ",", &more); field; field = strtok_r(NULL, ",", &more)) {
            char *equals = strchr(field, '=');
            if (equals) *equals = 0, set(g, field, equals + 1);
        }
    }
    free(text);
    return OK;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stub"; }

int nvmlSystemGetDriverVersion(char *into, unsigned size) {
    snprintf(into, size, "580.65.06");
    return OK;
}
int nvmlSystemGetCudaDriverVersion(int *into) { *into = 13000; return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *into) { *into = 13000; return OK; }
int nvmlDeviceGetCount_v2(unsigned *into) { *into = (unsigned)count; return OK; }

/* A handle is the GPU's number from 1; of a slice, 100 times that and its own number from 1. */
static gpu *of(void *handle) {
    intptr_t number = (intptr_t)handle;
    return &gpus[(number >= 100 ? number / 100 : number) - 1];
}
static part *slice_of(void *handle) {
    intptr_t number = (intptr_t)handle;
    return number >= 100 ? &of(handle)->slice[number % 100 - 1] : NULL;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **into) {
    if (index >= (unsigned)count) return WRONG;
    *into = (void *)(intptr_t)(index + 1);
    return (int)gpus[index].fail;
}
int nvmlDeviceGetName(void *handle, char *into, unsigned size) {
    part *slice = slice_of(handle);
    snprintf(into, size, slice ? "%s MIG %s" : "%s", of(handle)->name, slice ? slice->name : "");
    return OK;
}
int nvmlDeviceGetUUID(void *handle, char *into, unsigned size) {
    snprintf(into, size, slice_of(handle) ? "MIG-%ld" : "GPU-%ld", (long)(intptr_t)handle);
    return OK;
}

static int told(void *handle, long value, unsigned *into) {
    if (of(handle)->broken) return (int)of(handle)->broken;
    if (value < 0 || slice_of(handle)) return NOT_SUPPORTED;
    *into = (unsigned)value;
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *total_free_used) {
    gpu *g = of(handle);
    part *slice = slice_of(handle);
    if (g->broken) return (int)g->broken;
    if (!slice && g->total < 0) return NOT_SUPPORTED;
    unsigned long long used = slice || g->used < 0 ? 0 : (unsigned long long)g->used;
    total_free_used[0] = (slice ? slice->mib : (unsigned long long)g->total) << 20;
    total_free_used[2] = used << 20;
    total_free_used[1] = total_free_used[0] - total_free_used[2];
    return OK;
}
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    unsigned both = 0;
    int code = told((void *)(intptr_t)(of(handle) - gpus + 1), of(handle)->cc, &both);
    if (code == OK) *major = (int)both / 10, *minor = (int)both % 10;
    return code;
}
int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *into) {
    (void)sensor;
    return told(handle, of(handle)->temp, into);
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *into) {
    int code = told(handle, of(handle)->watts, into);
    if (code == OK) *into *= 1000;
    return code;
}
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *into) {
    if (of(handle)->watts < 0) return NOT_SUPPORTED;
    return told(handle, 400000, into);
}
int nvmlDeviceGetCurrPcieLinkGeneration(void *handle, unsigned *into) {
    return told(handle, of(handle)->gen, into);
}
int nvmlDeviceGetMaxPcieLinkGeneration(void *handle, unsigned *into) {
    return told(handle, of(handle)->gen, into);
}
int nvmlDeviceGetCurrPcieLinkWidth(void *handle, unsigned *into) {
    return told(handle, of(handle)->width, into);
}
int nvmlDeviceGetNvLinkState(void *handle, unsigned link, unsigned *into) {
    if (of(handle)->links < 0 || link >= 12) return NOT_SUPPORTED;
    return told(handle, link < (unsigned)of(handle)->links, into);
}
int nvmlDeviceGetTotalEccErrors(void *handle, int kind, int counter, unsigned long long *into) {
    unsigned errors = 0;
    (void)kind, (void)counter;
    int code = told(handle, of(handle)->ecc, &errors);
    *into = errors;
    return code;
}
int nvmlDeviceGetRetiredPagesPendingStatus(void *handle, unsigned *into) {
    return told(handle, of(handle)->pending, into);
}
int nvmlDeviceGetRemappedRows(void *handle, unsigned *corrected, unsigned *uncorrected,
                              unsigned *pending, unsigned *failed) {
    *corrected = *uncorrected = *failed = 0;
    return told(handle, of(handle)->remap, pending);
}
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *gpu_memory) {
    gpu_memory[1] = 0;
    return told(handle, 0, gpu_memory);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *size, process_info *into) {
    gpu *g = of(handle);
    if (g->broken) return (int)g->broken;
    unsigned room = *size;
    *size = slice_of(handle) ? 0 : (unsigned)g->processes;
    if (room < *size) return TOO_SMALL;
    for (unsigned i = 0; i < *size; i++) {
        into[i] = (process_info){.pid = (unsigned)strtoul(g->process[i].name, NULL, 10),
                                 .used = g->process[i].mib << 20};
    }
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned *size, process_info *into) {
    return nvmlDeviceGetComputeRunningProcesses_v3(handle, size, into);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *size, process_info *into) {
    (void)handle, (void)into;
    *size = 0;
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *later) {
    gpu *g = of(handle);
    if (g->broken) return (int)g->broken;
    if (g->cc < 80) return NOT_SUPPORTED;
    *now = *later = (unsigned)g->mig;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *into) {
    *into = of(handle)->cc < 80 ? 0 : 7;
    return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **into) {
    if (index >= (unsigned)of(handle)->slices) return NOT_FOUND;
    *into = (void *)((intptr_t)handle * 100 + index + 1);
    return OK;
}
