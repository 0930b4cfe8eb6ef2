/** What the element does after a proxy has had a request: nothing more; answer it with the proxy's `rejection`; answer it for
 *  ourselves (section 11.2); have it wait for a name look-up; give it to the registrar; or have it wait for a user look-up. */
export const SERVED = { DONE: 0, REJECTED: 1, FOR_OURSELVES: 2, PENDING: 3, REGISTER: 4, ASKING: 5 } as const;
