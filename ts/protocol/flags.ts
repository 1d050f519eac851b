/**
 * Flag bits with a meaning. The low ones are liminal 1.0 (spec wire §4); 0x80, 0x40, 0x20 and 0x10 are this project's extensions, valid only
 * on a connection that was granted the capability of the same section in docs/protocol.md.
 */

/** On Publish: an idempotency key follows the envelope. The one flag that changes a layout. */
export const PUBLISH_HAS_KEY = 0x02
/** On Publish, extension `UNACKNOWLEDGED_PUBLISH`: do not answer with PublishAck; PublishError still comes. */
export const PUBLISH_NO_ACK = 0x80
/** On PublishAck: at least one subscriber was reached. */
export const ACK_DELIVERED = 0x01
/** On PublishAck, extension `RECEIPTS`: the idempotency key was seen before; the ack repeats the original's fate. */
export const ACK_DUPLICATE = 0x80
/** On ConversationMessage: the sender waits for a reply; on the way back: this is that reply. */
export const REPLY_REQUESTED = 0x01
/** On Connect: the client understands this project's capability bits. */
export const CONNECT_EXTENSIONS = 0x80
/** On ConversationOpen, extension `RESPONDERS`: the sender offers to answer the subject. */
export const OPEN_OFFER = 0x80
/** On ConversationOpen, ConversationClose and Unsubscribe, extension `CONFIRMATIONS`: echo this frame when done. */
export const CONFIRM = 0x40
/** On ConversationOpen, extension `WORK`: if the participant dies, its requests go to another one. */
export const OPEN_REROUTE = 0x20
/** On ConversationOpen, extension `WORK`: its requests are dispatched to the subject's group, so nobody has to answer the subject yet. */
export const OPEN_DISPATCH = 0x10
/** On ConversationMessage, Push and PushReply, extension `WORK`: a head stands before the payload, see `readHead`. */
export const HAS_HEAD = 0x20
/** On Push, extension `WORK`: nobody waits for the answer any more. */
export const PUSH_CANCEL = 0x40
/** On WorkerRegister, extension `WORK`: takes the registration back; on WorkerRegisterAck: that was done. */
export const WORKER_LEAVE = 0x80
/**
 * On ConversationMessage, extension `STREAMS`. On a request: the sender takes the reply in parts. On the way back without {@link REPLY_REQUESTED}: this is a part;
 * with it: the end, without a value of its own.
 */
export const IN_PARTS = 0x40

/** On Subscribe, extension `DURABLE`: a NUL and terms as JSON text follow the channel's name, see `readSubscribeTerms`. */
export const SUBSCRIBE_TERMS = 0x80
/** On PublishAck, extension `DURABLE`: not an answer, but the position of the next one on its stream. */
export const ACK_POSITION = 0x40
/** In such a PublishAck: the next answers have no positions. */
export const NO_POSITION = 0xffff_ffff_ffff_ffffn
/** On Accept, extension `DURABLE`: this delivery alone, and not those before it. */
export const ACCEPT_ONE = 0x80
/** On Accept, extension `DURABLE`: not done yet; the lease of this delivery begins anew. */
export const ACCEPT_EXTEND = 0x40
/**
 * On Accept, extension `DURABLE`: this delivery, and all that were sent before it, are in the subscriber's hands: their leases begin. For a cursor whose terms say
 * `leaseBegins: 'taken'`. Accepts nothing.
 */
export const ACCEPT_TAKEN = 0x10
/** On Accept, extension `DURABLE`: write down how far the cursor is, and echo this frame when that is durable. Accepts nothing itself. */
export const ACCEPT_CHECKPOINT = 0x20
/** On Unsubscribe, extension `DURABLE`: its subscriber failed, and one of the deliveries that it had may be why. */
export const UNSUBSCRIBE_DIED = 0x20
/** On SubscribeAck, extension `DURABLE`: the channel is durable, and deliveries are numbered by their positions. */
export const SUBSCRIBED_LOGGED = 0x80
/** On ConversationOpen, extension `DURABLE`: a NUL and terms as JSON text follow the subject, see `readDurableTerms`. */
export const OPEN_DURABLE = 0x08
