// Short words at the edge of the page, read out by screen readers; some offer to take back what was done.

export interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

const STAY_MS = 6_000;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 0;

  say(text: string, action?: Toast['action'], staysMs = STAY_MS): number {
    const toast: Toast = { id: (this.#next += 1), text };
    if (action) toast.action = action;
    this.list = [...this.list.slice(-2), toast];
    setTimeout(() => this.drop(toast.id), staysMs);
    return toast.id;
  }

  drop(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
