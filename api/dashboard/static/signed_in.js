// After a link from another site the browser holds the cookie back once; a request of our own has it.
const response = await fetch(location.href, { headers: { Accept: "text/html" } });
if (response.ok) location.reload(); // `location.replace` would only scroll if the address has a fragment
