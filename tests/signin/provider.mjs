// A real OpenID Connect provider on a free port of this machine, which tells its address in its
// first line. People and clients are what the test puts under `/test/`.
//
// A person has `claims`, which stand in the ID token and at userinfo, or at userinfo `only_there`.
// A person may have `lies`: what the provider then says wrongly.
//   id_token   claims of the ID token, in place of the true ones
//   userinfo   claims that the userinfo endpoint tells, in place of the true ones
//   header     the header of the ID token, in place of the true one
//   signed_by  "nobody", "another" or "the_public_key" (as if it were a secret)
//   withheld   whether there is no ID token at all

import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

import Provider from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const people = new Map();
const clients = new Map();
const newKeys = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const own = newKeys();

const registered = {
  find: async (clientId) => clients.get(clientId),
};

function told(id, use) {
  const { claims, only_there: onlyThere } = people.get(id);
  return onlyThere && use === 'id_token' ? { sub: id } : { sub: id, ...claims };
}

function configuration() {
  return {
    adapter: (model) => (model === 'Client' ? registered : new MemoryAdapter(model)),
    clients: [],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['only-for-a-test'] },
    findAccount: (_, id) => people.has(id) && { accountId: id, claims: (use) => told(id, use) },
    jwks: { keys: [own.privateKey.export({ format: 'jwk' })] },
  };
}

function signature(signedBy, input) {
  if (signedBy === 'nobody') {
    return '';
  }
  if (signedBy === 'the_public_key') {
    const pem = own.publicKey.export({ format: 'pem', type: 'spki' });
    return createHmac('sha256', pem).update(input).digest('base64url');
  }
  const { privateKey } = signedBy === 'another' ? newKeys() : own;
  return createSign('sha256').update(input).sign(privateKey, 'base64url');
}

function falsified(token, lies) {
  const [header, claims] = token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  const input = [{ ...header, ...lies.header }, { ...claims, ...lies.id_token }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${signature(lies.signed_by, input)}`;
}

async function lie(ctx, next) {
  await next();
  if (ctx.oidc?.route === 'discovery') {
    // OpenID Connect lets a provider list these; whoever trusts the list takes unsigned tokens.
    ctx.body = { ...ctx.body, id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'] };
  }
  const lies = people.get(ctx.oidc?.account?.accountId)?.lies;
  if (lies && ctx.oidc.route === 'userinfo') {
    ctx.body = { ...ctx.body, ...lies.userinfo };
  }
  if (lies && ctx.oidc.route === 'token') {
    const { id_token: token, ...others } = ctx.body;
    ctx.body = lies.withheld ? others : { ...others, id_token: falsified(token, lies) };
  }
}

const server = createServer();
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  provider.use(lie);
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    const [, test, kept, id] = request.url.split('/');
    if (test !== 'test') {
      answer(request, response);
      return;
    }
    const entry = JSON.parse(await text(request));
    (kept === 'clients' ? clients : people).set(decodeURIComponent(id), entry);
    response.writeHead(204).end();
  });
  process.stdout.write(`${issuer}\n`);
});
