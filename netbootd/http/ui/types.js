/**
 * The shapes of the API, for readers and editors; there is no code here.  Times are Unix seconds,
 * durations seconds, sizes bytes.
 *
 * @typedef {"unknown"|"booting"|"stuck"|"up"|"failed"|"overdue"|"held"|"disabled"} State
 *
 * @typedef {object} Armed
 * @property {string} target
 * @property {number} times
 * @property {number} until  0 for ever
 *
 * @typedef {object} Place  in the queue of a storm
 * @property {number} position
 * @property {number} waiting
 * @property {number|null} seconds  about how long still
 * @property {number} priority
 *
 * @typedef {object} Pace  how that queue is
 * @property {boolean} enabled
 * @property {boolean} paused
 * @property {number} waiting
 * @property {number} loading
 * @property {number} at_once
 * @property {boolean} auto
 * @property {number} rate  bytes a second
 *
 * @typedef {object} Machine  a line of the list
 * @property {string} key
 * @property {string[]} macs
 * @property {string} hostname
 * @property {string} target
 * @property {string[]} groups
 * @property {boolean} known
 * @property {boolean} enabled
 * @property {State} state
 * @property {number|null} since
 * @property {string|null} reached
 * @property {number} boot
 * @property {number|null} began
 * @property {number|null} last
 * @property {number} seconds
 * @property {number} bytes_sent
 * @property {number} bytes_size
 * @property {string} outcome
 * @property {string} held
 * @property {Armed|null} armed
 * @property {string} address
 * @property {string} trouble
 * @property {Place|null} waits
 *
 * @typedef {object} Step
 * @property {string} stage
 * @property {number} at
 * @property {number} until
 * @property {number} seconds
 * @property {number} times
 * @property {string} path
 * @property {number} size
 * @property {number} sent
 * @property {boolean} open
 * @property {string} trouble
 * @property {string} mac
 * @property {string} peer
 * @property {string} interface
 * @property {string} protocol
 * @property {number} generation
 * @property {string} note
 *
 * @typedef {object} Note
 * @property {string} code
 * @property {number} at
 * @property {number} until
 * @property {string} text
 * @property {number} times
 *
 * @typedef {object} Boot
 * @property {number} number
 * @property {string} key
 * @property {string[]} macs
 * @property {string} arch
 * @property {string} target
 * @property {string} peer
 * @property {number} memory  MiB
 * @property {number} began
 * @property {number} last
 * @property {number} seconds
 * @property {number} generation
 * @property {string} outcome
 * @property {string|null} reached
 * @property {Step[]} steps
 * @property {Note[]} notes
 *
 * @typedef {object} Cause
 * @property {string} code
 * @property {string} sentence
 * @property {number} confidence  percent
 * @property {string[]} because
 * @property {string} advice
 *
 * @typedef {object} Diagnosis
 * @property {string} machine
 * @property {number} boot
 * @property {State} state
 * @property {string|null} reached
 * @property {number} at
 * @property {string} missing
 * @property {Cause[]} causes
 *
 * @typedef {object} Finding
 * @property {string} level
 * @property {string} code
 * @property {string} text
 * @property {string} file
 * @property {number} line
 * @property {number} column
 * @property {string} path
 *
 * @typedef {object} Transfer
 * @property {string} protocol
 * @property {string} path
 * @property {string|null} mac
 * @property {string} key
 * @property {string} peer
 * @property {number} size
 * @property {number} sent
 * @property {number} began
 * @property {number} rate  bytes a second
 *
 * @typedef {object} Stranger
 * @property {string} mac
 * @property {number} first
 * @property {number} last
 * @property {number} times
 * @property {string} arch
 * @property {string} uuid
 * @property {string} interface
 * @property {string} vendor_class
 * @property {string} [maker]
 *
 * @typedef {object} Lease
 * @property {string} address
 * @property {"offered"|"leased"|"free"|"declined"} state
 * @property {string|null} mac
 * @property {string} client_id
 * @property {string} hostname
 * @property {string} machine  its key, empty where it is not listed
 * @property {number} since
 * @property {number|null} until  null for ever
 * @property {string} subnet
 * @property {string} port
 * @property {boolean} reserved
 *
 * @typedef {object} Pools
 * @property {string} subnet
 * @property {number} size
 * @property {number} leased
 * @property {number} offered
 * @property {number} declined
 * @property {number} free
 * @property {number} reserved
 * @property {string[]} ranges
 * @property {number} wanting  when somebody last got no address, 0 for never
 * @property {string} wanted_by  who that was
 *
 * @typedef {object} ForeignServer
 * @property {string} server
 * @property {string} interface
 * @property {number} first
 * @property {number} last
 * @property {number} times
 * @property {string} address
 */

export {};
