/* SPDX-License-Identifier: MIT */
#include "server/net/tls.h"

#include "common/lock.h"
#include "common/mem.h"
#include "server/admin/config.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ERROR_SIZE 128

/* Written at once, a multiple of the size of a record: whoever reads as fast
 * as we encrypt must not keep the loop. */
#define WRITE_BYTES_MAX (64 * (size_t)SSL3_RT_MAX_PLAIN_LENGTH)

struct tls_settings {
    struct mutex lock; /* Rank LOCK_LEAF. */
    SSL_CTX *context GUARDED_BY(lock);
};

struct tls {
    SSL *ssl;
    bool wants_to_write;
    bool failed; /* Nothing may be asked of 'ssl' but to be freed. */
    char error[ERROR_SIZE];
};

/* ---- settings ---- */

/* The oldest error that OpenSSL notes for this thread; NULL: there is none. */
static const char *take_reason(void)
{
    const unsigned long code = ERR_get_error();

    ERR_clear_error();
    if (code == 0) {
        return NULL;
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SYS) {
        return strerror(ERR_GET_REASON(code));
    }
    const char *reason = ERR_reason_error_string(code);
    return reason != NULL ? reason : "unknown error";
}

static void append_reason(struct buf *detail)
{
    const char *reason = take_reason();

    buf_append_string(detail, reason != NULL ? reason : "unknown error");
}

static enum err refuse(const char *directive, const char *value,
                       struct buf *detail)
{
    buf_printf(detail, "%s \"%s\" cannot be used: ", directive, value);
    append_reason(detail);
    return ERR_INVALID;
}

/* The value of a directive as a string, or NULL if it is empty. */
static const char *text_of(const struct config *config, enum config_id id,
                           struct buf *text)
{
    buf_clear(text);
    config_string(config, id, text);
    return text->size > 0 ? buf_string(text) : NULL;
}

static int give_password(char *to, int size, int writing, void *arg)
{
    const char *password = arg;
    const size_t length = password != NULL ? strlen(password) : 0;

    (void)writing;
    if (length > (size_t)size) {
        return -1;
    }
    if (length > 0) {
        memcpy(to, password, length);
    }
    return (int)length;
}

static enum err load_certificate(SSL_CTX *context, const struct config *config,
                                 struct buf *text, struct buf *detail)
{
    const char *file = text_of(config, CONFIG_tls_cert_file, text);

    if (file == NULL) {
        buf_append_string(detail, "tls-port needs tls-cert-file");
        return ERR_INVALID;
    }
    if (SSL_CTX_use_certificate_chain_file(context, file) != 1) {
        return refuse("tls-cert-file", file, detail);
    }
    return ERR_OK;
}

static enum err load_key(SSL_CTX *context, const struct config *config,
                         struct buf *text, struct buf *detail)
{
    struct buf password = {0};
    enum err err = ERR_OK;

    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(
        context, (void *)(uintptr_t)text_of(config, CONFIG_tls_key_file_pass,
                                            &password));
    const char *file = text_of(config, CONFIG_tls_key_file, text);
    if (file == NULL) {
        buf_append_string(detail, "tls-port needs tls-key-file");
        err = ERR_INVALID;
    } else if (SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) !=
                   1 ||
               SSL_CTX_check_private_key(context) != 1) {
        err = refuse("tls-key-file", file, detail);
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    buf_destroy(&password);
    return err;
}

/* Whom we believe, and whether clients must show a certificate. */
static enum err load_authorities(SSL_CTX *context, const struct config *config,
                                 struct buf *text, struct buf *detail)
{
    static const int modes[] = {
        [TLS_AUTH_NO] = SSL_VERIFY_NONE,
        [TLS_AUTH_YES] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
        [TLS_AUTH_OPTIONAL] = SSL_VERIFY_PEER};
    const int64_t mode = config_number(config, CONFIG_tls_auth_clients);
    bool any = false;
    const char *where = text_of(config, CONFIG_tls_ca_cert_file, text);

    if (where != NULL) {
        any = true;
        if (SSL_CTX_load_verify_locations(context, where, NULL) != 1) {
            return refuse("tls-ca-cert-file", where, detail);
        }
    }
    where = text_of(config, CONFIG_tls_ca_cert_dir, text);
    if (where != NULL) {
        any = true;
        if (SSL_CTX_load_verify_locations(context, NULL, where) != 1) {
            return refuse("tls-ca-cert-dir", where, detail);
        }
    }
    if (!any && mode != TLS_AUTH_NO) {
        buf_append_string(detail, "tls-auth-clients needs tls-ca-cert-file or "
                                  "tls-ca-cert-dir");
        return ERR_INVALID;
    }
    SSL_CTX_set_verify(context, modes[mode], NULL);
    return ERR_OK;
}

static enum err choose_ciphers(SSL_CTX *context, const struct config *config,
                               struct buf *text, struct buf *detail)
{
    const char *list = text_of(config, CONFIG_tls_ciphers, text);

    if (list != NULL && SSL_CTX_set_cipher_list(context, list) != 1) {
        return refuse("tls-ciphers", list, detail);
    }
    list = text_of(config, CONFIG_tls_ciphersuites, text);
    if (list != NULL && SSL_CTX_set_ciphersuites(context, list) != 1) {
        return refuse("tls-ciphersuites", list, detail);
    }
    return ERR_OK;
}

/* Each word of tls-protocols allows a version. */
static enum err choose_protocols(SSL_CTX *context, const struct config *config,
                                 struct buf *text, struct buf *detail)
{
    static const struct {
        const char *name;
        uint64_t without;
    } versions[] = {{"TLSv1", SSL_OP_NO_TLSv1},
                    {"TLSv1.1", SSL_OP_NO_TLSv1_1},
                    {"TLSv1.2", SSL_OP_NO_TLSv1_2},
                    {"TLSv1.3", SSL_OP_NO_TLSv1_3}};
    const char *words = text_of(config, CONFIG_tls_protocols, text);
    uint64_t without = 0;

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        without |= versions[i].without;
    }
    while (words != NULL && *words != '\0') {
        const struct slice word = slice_make(words, strcspn(words, " "));
        const uint64_t before = without;
        for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
            if (slice_equal_nocase(word, slice_from_string(versions[i].name))) {
                without &= ~versions[i].without;
            }
        }
        if (without == before) {
            buf_printf(detail,
                       "tls-protocols: \"%.*s\" is no version of TLS, "
                       "or named twice",
                       (int)word.size, word.data);
            return ERR_INVALID;
        }
        words += word.size + (words[word.size] == ' ');
    }
    SSL_CTX_set_options(context, without);
    return ERR_OK;
}

static enum err load_all(SSL_CTX *context, const struct config *config,
                         struct buf *detail)
{
    struct buf text = {0};
    enum err err = choose_protocols(context, config, &text, detail);

    if (err == ERR_OK) {
        err = load_certificate(context, config, &text, detail);
    }
    if (err == ERR_OK) {
        err = load_key(context, config, &text, detail);
    }
    if (err == ERR_OK) {
        err = load_authorities(context, config, &text, detail);
    }
    if (err == ERR_OK) {
        err = choose_ciphers(context, config, &text, detail);
    }
    buf_destroy(&text);
    return err;
}

static enum err load(SSL_CTX **contextp, const struct config *config,
                     struct buf *detail)
{
    static const unsigned char session_id[] = "bookd";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL) {
        append_reason(detail);
        return ERR_INVALID;
    }
    ERR_clear_error();
    SSL_CTX_set_options(context, SSL_OP_NO_SSLv3 | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(context, session_id, sizeof session_id - 1);
    const enum err err = load_all(context, config, detail);
    if (err != ERR_OK) {
        SSL_CTX_free(context);
        return err;
    }
    *contextp = context;
    return ERR_OK;
}

enum err tls_settings_new(struct tls_settings **settingsp,
                          const struct config *config, struct buf *detail)
{
    SSL_CTX *context;
    const enum err err = load(&context, config, detail);

    if (err != ERR_OK) {
        return err;
    }
    struct tls_settings *settings = xcalloc(1, sizeof *settings);
    mutex_init(&settings->lock, LOCK_LEAF, "tls settings");
    mutex_lock(&settings->lock);
    settings->context = context;
    mutex_unlock(&settings->lock);
    *settingsp = settings;
    return ERR_OK;
}

void tls_settings_free(struct tls_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    mutex_lock(&settings->lock);
    SSL_CTX *context = settings->context;
    mutex_unlock(&settings->lock);
    SSL_CTX_free(context);
    mutex_destroy(&settings->lock);
    free(settings);
}

enum err tls_settings_reload(struct tls_settings *settings,
                             const struct config *config, struct buf *detail)
{
    SSL_CTX *context;
    const enum err err = load(&context, config, detail);

    if (err != ERR_OK) {
        return err;
    }
    mutex_lock(&settings->lock);
    SSL_CTX *old = settings->context;
    settings->context = context;
    mutex_unlock(&settings->lock);
    SSL_CTX_free(old); /* Connections that use it have references. */
    return ERR_OK;
}

/* ---- one connection ---- */

struct tls *tls_new(struct tls_settings *settings, int fd)
{
    mutex_lock(&settings->lock);
    SSL_CTX *context = settings->context;
    SSL_CTX_up_ref(context);
    mutex_unlock(&settings->lock);

    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    struct tls *tls = xmalloc(sizeof *tls);
    *tls = (struct tls){.ssl = ssl};
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    if (!tls->failed && tls_is_ready(tls)) {
        (void)SSL_shutdown(tls->ssl);
    }
    ERR_clear_error();
    SSL_free(tls->ssl);
    free(tls);
}

/* 'n' is what a call returned that moved no bytes. */
static ssize_t explain(struct tls *tls, int n, bool reading)
{
    const int why = SSL_get_error(tls->ssl, n);

    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        tls->wants_to_write = reading && why == SSL_ERROR_WANT_WRITE;
        errno = EAGAIN;
        return -1;
    }
    if (why == SSL_ERROR_ZERO_RETURN && reading) {
        return 0;
    }
    if (!tls_is_ready(tls)) {
        const char *reason = take_reason();
        snprintf(tls->error, sizeof tls->error, "%s",
                 reason != NULL ? reason : "the peer has gone");
    }
    tls->failed = true;
    errno = ECONNRESET;
    return -1;
}

static int at_most_int(size_t size)
{
    return size < INT_MAX ? (int)size : INT_MAX;
}

ssize_t tls_read(struct tls *tls, void *to, size_t size)
{
    size_t got = 0;

    if (tls->failed) {
        errno = ECONNRESET;
        return -1;
    }
    tls->wants_to_write = false;
    /* With room for a whole record nothing stays inside, where no event tells
     * of it. */
    while (got == 0 || size - got >= SSL3_RT_MAX_PLAIN_LENGTH) {
        ERR_clear_error();
        const int n =
            SSL_read(tls->ssl, (char *)to + got, at_most_int(size - got));
        if (n <= 0) {
            /* What was got is given first; the rest is told the next time. */
            const ssize_t result = explain(tls, n, true);
            return got > 0 ? (ssize_t)got : result;
        }
        got += (size_t)n;
    }
    return (ssize_t)got;
}

ssize_t tls_write(struct tls *tls, const void *bytes, size_t size)
{
    size_t put = 0;

    if (tls->failed) {
        errno = ECONNRESET;
        return -1;
    }
    size = size < WRITE_BYTES_MAX ? size : WRITE_BYTES_MAX;
    while (put < size) {
        ERR_clear_error();
        const int n = SSL_write(tls->ssl, (const char *)bytes + put,
                                at_most_int(size - put));
        if (n <= 0) {
            const ssize_t result = explain(tls, n, false);
            return put > 0 ? (ssize_t)put : result;
        }
        put += (size_t)n;
    }
    return (ssize_t)put;
}

bool tls_wants_to_write(const struct tls *tls)
{
    return tls->wants_to_write;
}

bool tls_has_more(const struct tls *tls)
{
    return tls->failed || SSL_pending(tls->ssl) > 0 ||
           (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

bool tls_is_ready(const struct tls *tls)
{
    return SSL_is_init_finished(tls->ssl) == 1;
}

const char *tls_error(const struct tls *tls)
{
    return tls->error;
}
