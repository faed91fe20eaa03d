// Every request's token is verified, as the service under test does it; without a cache, as there is none to switch on.
const cds = require('@sap/cds')
const crypto = require('node:crypto')
const key = crypto.createPublicKey(process.env.PEER_KEY)

module.exports = (req, res, next) => {
  const [head, payload, signature] = (req.headers.authorization ?? '').slice(7).split('.')
  const good = signature && crypto.verify('RSA-SHA256', Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url'))
  if (!good) return res.sendStatus(401)
  const claims = JSON.parse(Buffer.from(payload, 'base64url'))
  if (claims.exp < Date.now() / 1000) return res.sendStatus(401)
  req.user = req._user = new cds.User({ id: claims.oid, tenant: undefined, roles: claims.roles })
  if (cds.context) cds.context.user = req.user
  next()
}
