// What a page of somebody who logged in sends along with every change; nothing where nobody did.
export function csrfHeader() {
  const token = document.querySelector("meta[name='csrf-token']")?.content;
  return token ? { "X-CSRF-Token": token } : {};
}
