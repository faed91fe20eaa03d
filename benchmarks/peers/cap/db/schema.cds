namespace peer;

entity Connectors {
  key id                     : UUID;
      displayName            : String(256);
      lastConnectionDateTime : String(40);
      state                  : String(10);
      version                : String(64);
}
